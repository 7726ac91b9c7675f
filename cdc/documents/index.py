"""The target: one Elasticsearch index per tree; made, looked at, removed. `cdc.documents.bulk` writes.

Readers know the index by an alias of the tree's name. Documents are written to another alias, which names the very form
of the tree that they have. A form that the index cannot take (another type or analysis of a field) gets a new index, which
is loaded while readers stay with the one before, and takes its place, in one step, when it holds every document. A writer of
the form before finds its alias until then, and never writes into the new index.

An index says of itself, in its mapping's `_meta`, which form of the tree it holds in full and which settings it was made
with: the note goes when the index goes, so a new and empty index is never taken for a loaded one.
"""

from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch

from cdc.documents import aliases
from cdc.documents.aliases import LOADED, SETTINGS, SOURCE
from cdc.documents.failures import reason_of, unreachable
from cdc.documents.trees import Tree
from cdc.errors import ConfigurationError, TransientError

# The larger part of the time from a commit to a found document; shorter would make many small segments.
REFRESH_INTERVAL = "200ms"


def connect(url: str) -> Elasticsearch:
    """A client that several threads may share; retries are the caller's, as each must read anew."""
    return Elasticsearch(url, request_timeout=60, max_retries=0, retry_on_timeout=False)


def prepare(client: Elasticsearch, tree: Tree, retention_hours: int) -> None:
    """Make an index that takes the tree's documents: the one that is there with new fields, where that is enough, else a
    new one.

    A deleted document's version is remembered for the topics' retention, as long as an old change can still arrive; but
    a clean restart of Elasticsearch forgets it (a crash does not). That is harmless: a late change is read anew, and a
    reading that was on its way to the server when it stopped never arrived.

    Raises:
        ConfigurationError: Elasticsearch refuses the mapping or the settings, or something else has the index's name.
        TransientError: Elasticsearch does not answer.
    """
    try:
        if is_prepared(client, tree):
            return
        if other := aliases.in_use(client, tree):
            raise aliases.name_in_use(tree, other)
        there = aliases.behind(client, tree.index)
        if there and _adapted(client, tree, there):
            return
        _create(client, tree, _vacant(client, tree, there), retention_hours, *([] if there else [tree.index]))
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            reason = reason_of(error.info)
            raise ConfigurationError(
                f"index {tree.index}: Elasticsearch refuses its mapping or settings: {reason}"
            ) from None
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _create(client: Elasticsearch, tree: Tree, name: str, retention_hours: int, *also: str) -> None:
    settings = {"number_of_replicas": 0, "refresh_interval": REFRESH_INTERVAL, "gc_deletes": f"{retention_hours}h"}
    answer = client.indices.create(
        index=name,
        aliases={alias: {} for alias in (*also, tree.written, aliases.alone(name))},
        mappings={"dynamic": "strict", "properties": tree.mapping, "_meta": _first_notes(tree)},
        settings=settings | tree.settings,
    )
    if not answer["acknowledged"]:
        raise TransientError(f"index {name}: not every node of Elasticsearch knows of it in time; try again")


def _adapted(client: Elasticsearch, tree: Tree, there: str) -> bool:
    """Whether the index that is there now takes the tree's documents as well."""
    notes = aliases.notes_of(client, there)
    if notes.get(SETTINGS, {}) != tree.settings:
        return False
    try:
        client.indices.put_mapping(index=there, properties=tree.mapping, meta=notes | _first_notes(tree))
    except BadRequestError:
        return False  # a new index says whether the mapping is wrong, or only other than this one's
    kept = (tree.index, aliases.alone(there))
    before = [name for name in client.indices.get_alias(index=there)[there]["aliases"] if name not in kept]
    client.indices.update_aliases(
        actions=[{"add": {"index": there, "alias": tree.written}}]
        + [{"remove": {"index": there, "alias": name}} for name in before]
    )
    return True


def _vacant(client: Elasticsearch, tree: Tree, there: str | None) -> str:
    """A name for a new index, once those that were begun and never took the place of the one that is there are gone."""
    for name in aliases.ours(client, tree):
        if name != there:
            client.indices.delete(index=name)
    return f"{tree.index}-{1 if there is None else aliases.number(there) + 1}"


def _first_notes(tree: Tree) -> dict[str, Any]:
    return {SETTINGS: tree.settings, SOURCE: tree.source}


def is_prepared(client: Elasticsearch, tree: Tree) -> bool:
    """Whether an index is there that takes the documents of this form of the tree."""
    try:
        return bool(client.indices.exists_alias(name=tree.written))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def is_loaded(client: Elasticsearch, tree: Tree) -> bool:
    """Whether readers see an index to which every root has been written once in this form of the tree."""
    try:
        there = aliases.behind(client, tree.index)
        return there is not None and aliases.notes_of(client, there).get(LOADED) == tree.digest
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def mark_loaded(client: Elasticsearch, tree: Tree) -> None:
    """Note in the index itself that every root has been written to it, and give it to readers in place of another."""
    try:
        loaded, there = aliases.current(client, tree), aliases.behind(client, tree.index)
        note_loaded(client, tree, loaded)
        if there != loaded:
            gone = [] if there is None else [{"remove_index": {"index": there}}]
            client.indices.update_aliases(actions=[{"add": {"index": loaded, "alias": tree.index}}, *gone])
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def note_loaded(client: Elasticsearch, tree: Tree, name: str) -> None:
    """Note in an index that every root has been written to it, and let searches see them all."""
    client.indices.refresh(index=name)
    client.indices.put_mapping(index=name, meta=aliases.notes_of(client, name) | {LOADED: tree.digest})


def beside(client: Elasticsearch, tree: Tree, retention_hours: int) -> str:
    """Make one more index of the same form, which changes reach from now on, beside the readers'; its name."""
    try:
        numbers = [aliases.number(name) for name in aliases.ours(client, tree)]
        name = f"{tree.index}-{max(numbers, default=0) + 1}"
        _create(client, tree, name, retention_hours)
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
    return name


def name_alone(client: Elasticsearch, name: str) -> None:
    """Give an index that was made before indexes had one the alias of its own."""
    try:
        client.indices.put_alias(index=name, name=aliases.alone(name))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def remove(client: Elasticsearch, tree: Tree) -> None:
    """Delete the tree's indexes, if there are any."""
    try:
        if names := aliases.ours(client, tree):
            client.indices.delete(index=",".join(names))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
