"""The `documents:` part of a source file, as written: PGSync's node format, checked for form only.

Whether the tables, columns and foreign keys exist is decided by `cdc.documents.trees` against the catalog. Unknown keys
are refused: a misspelt `transform` must not become a document without it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cdc.errors import ConfigurationError


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ForeignKeyForm(_Form):
    """The columns that link a node to its parent, pairwise; either side may hold the constraint."""

    parent: tuple[str, ...] = Field(min_length=1)
    child: tuple[str, ...] = Field(min_length=1)


class ThroughForm(_Form):
    """A table of links between a node and its parent; written as its bare name where one foreign key leads to each side.
    `foreign_key` pairs its columns with those of the table before it, its own being `child`."""

    table: str
    schema_name: str | None = Field(default=None, alias="schema")
    foreign_key: ForeignKeyForm | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"table": value} if isinstance(value, str) else value


class RelationshipForm(_Form):
    """How many rows of the node belong to one row of its parent, and whether each is an object or one bare value.
    `through_tables` are the tables of links between the two, from the parent on."""

    type: Literal["one_to_one", "one_to_many"]
    variant: Literal["object", "scalar"] = "object"
    foreign_key: ForeignKeyForm | None = None
    through_tables: tuple[ThroughForm, ...] = ()


class ConcatForm(_Form):
    """Columns whose texts are joined by `delimiter` into the field `destination`; a NULL is left out."""

    columns: tuple[str, ...] = Field(min_length=1)
    destination: str
    delimiter: str = ""


class TransformForm(_Form):
    """Changes of single columns: `rename` {column: field}; `cents` {column: field} turns an amount of money into an
    integer number of hundredths under another name, so that no search engine rounds it; `fold` {column: field} shows the
    column a second time in lower case and without accents, so that it is found however it is typed; `concat` (one, or a
    list of them) shows several columns as one text."""

    rename: dict[str, str] = {}
    cents: dict[str, str] = {}
    fold: dict[str, str] = {}
    concat: tuple[ConcatForm, ...] = ()

    @field_validator("concat", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class NodeForm(_Form):
    """One table of a tree, with the tables below it."""

    table: str
    schema_name: str = Field(default="public", alias="schema")
    columns: tuple[str, ...] = Field(min_length=1)
    label: str | None = None
    transform: TransformForm = TransformForm()
    relationship: RelationshipForm | None = None
    children: tuple["NodeForm", ...] = ()


class TreeForm(_Form):
    """One index: its tree of tables, the mapping of its fields (`properties`; anything else is refused by the index)
    and index settings beyond the engine's own."""

    index: str = Field(pattern=r"^[a-z][a-z0-9_]{0,100}$")
    nodes: NodeForm
    mapping: dict[str, dict[str, Any]] = Field(min_length=1)
    settings: dict[str, Any] = {}


def parse(source: str, document: dict[str, Any]) -> TreeForm:
    """One entry of `documents:` as a form.

    Raises:
        ConfigurationError: one line naming the source, the key and what is wrong with it.
    """
    try:
        return TreeForm.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"source {source}: documents of index {document.get('index', '?')}: {wrong}") from None
