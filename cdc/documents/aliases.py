"""Which indexes a tree has, by which alias each is found, and what each says of itself.

Readers know the tree's name, an alias of one index. Sinks know the alias of the tree's very form, which stands for each index that
changes are written to. An index' own alias (`alone`) names it where that one stands for two.
"""

import re
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from cdc.documents.failures import unreachable
from cdc.documents.trees import Tree
from cdc.errors import ConfigurationError, TransientError

# Notes in the index: the form of the tree that it holds in full; its settings; the source that it belongs to.
LOADED, SETTINGS, SOURCE = "loaded", "settings", "source"


def in_use(client: Elasticsearch, tree: Tree) -> str | None:
    """What else has the tree's index name, or one that its indexes would get; None when nothing has."""
    try:
        mine = ours(client, tree)
        for name in _named(client, tree):
            if name not in mine:
                return name if name == tree.index else f"{tree.index} ({name})"
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
    return None


def name_in_use(tree: Tree, other: str) -> ConfigurationError:
    """That something else has the tree's name, and what to do."""
    return ConfigurationError(
        f"documents of index {tree.index}: the name {other} is in use by something else in Elasticsearch; choose another"
        " `index`, or remove that one"
    )


def _named(client: Elasticsearch, tree: Tree) -> dict[str, Any]:
    """Every index with a name that the tree's have, or behind the alias of its readers: name -> what is known of it."""
    found = client.indices.get(index=f"{tree.index},{tree.index}-*", ignore_unavailable=True)
    pattern = re.compile(rf"{re.escape(tree.index)}(-\d+)?")
    return {
        name: known
        for name, known in found.items()
        if pattern.fullmatch(name) or tree.index in known.get("aliases", ())
    }


def ours(client: Elasticsearch, tree: Tree) -> list[str]:
    """The tree's own indexes. One without the source's name was made before indexes had such a note."""
    found = []
    for name, known in _named(client, tree).items():
        notes = known.get("mappings", {}).get("_meta", {})
        if name != tree.index and SETTINGS in notes and notes.get(SOURCE, tree.source) == tree.source:
            found.append(name)
    return found


def alone(name: str) -> str:
    """The alias of one index alone, by which it is written where the form's alias stands for two."""
    return f"{name}-alone"


def followers(client: Elasticsearch, tree: Tree) -> tuple[str, ...]:
    """The indexes that changes of this form of the tree are written to, in the order they were made."""
    try:
        if not client.indices.exists_alias(name=tree.written):
            return ()
        return tuple(sorted(map(str, client.indices.get_alias(name=tree.written)), key=number))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def current(client: Elasticsearch, tree: Tree) -> str:
    """The one index of this form that counts: the readers', where it has this form, else the newest.

    Raises:
        TransientError: there is none (any more).
    """
    names = followers(client, tree)
    if not names:
        raise TransientError(f"index {tree.index}: it is not there, or was removed meanwhile; run `millrace cdc apply`")
    return there if (there := read_by(client, tree)) in names else names[-1]


def read_by(client: Elasticsearch, tree: Tree) -> str:
    """The index that readers see; an empty name when there is none."""
    try:
        return behind(client, tree.index) or ""
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def complete(client: Elasticsearch, tree: Tree) -> list[str]:
    """The indexes whose documents are to be proven: the one that counts, then the other if it holds every document."""
    here = current(client, tree)
    try:
        others = [name for name in followers(client, tree) if name != here]
        return [here, *(name for name in others if notes_of(client, name).get(LOADED) == tree.digest)]
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def all_of(client: Elasticsearch, tree: Tree) -> list[str]:
    """Every index of the tree, in the order they were made."""
    try:
        return sorted(ours(client, tree), key=number)
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def number(name: str) -> int:
    return int(name.rpartition("-")[2])


def size(client: Elasticsearch, name: str) -> tuple[int, int]:
    """Documents that searches see in an index, and its bytes on the disk."""
    try:
        primaries = client.indices.stats(index=name, metric=["docs", "store"])["_all"]["primaries"]
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
    return int(primaries["docs"]["count"]), int(primaries["store"]["size_in_bytes"])


def behind(client: Elasticsearch, alias: str) -> str | None:
    """The index that an alias stands for; None when there is none."""
    if not client.indices.exists_alias(name=alias):
        return None
    [name] = client.indices.get_alias(name=alias)
    return str(name)


def notes_of(client: Elasticsearch, name: str) -> dict[str, Any]:
    """What the index says of itself."""
    return dict(client.indices.get_mapping(index=name)[name]["mappings"].get("_meta", {}))
