"""First load and rebuild: every root in key order through the same path as the stream, while the stream runs.

Nothing is locked and no snapshot is held: each lot is a reading with a version of its own, so it wins over everything
read before it and loses to everything read after it. A rebuild further looks for documents that have no root any more.
"""

from collections.abc import Callable, Iterator

from elasticsearch import Elasticsearch

from cdc.documents import contents
from cdc.documents.reading import Key, Reader, root_key
from cdc.documents.trees import Tree
from cdc.documents.writer import Writer

KEYS_AT_ONCE = 5000


def load(writer: Writer, reader: Reader, tree: Tree, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write the document of every root; the number of roots. `progress` is told the number so far, now and then."""
    done = 0
    for keys in reader.keys(tree, KEYS_AT_ONCE):
        writer.write(tree, keys)
        done += len(keys)
        progress(done)
    return done


def rebuild(
    writer: Writer, reader: Reader, client: Elasticsearch, tree: Tree, progress: Callable[[int], None] = lambda _: None
) -> int:
    """Like `load`, and deletes the documents whose root is gone."""
    done = load(writer, reader, tree, progress)
    for keys in orphans(reader, client, tree):
        writer.write(tree, keys)
    return done


def orphans(reader: Reader, client: Elasticsearch, tree: Tree, name: str = "") -> Iterator[list[Key]]:
    """Keys of documents in the named index (in any of the tree's) that have no root in the source, some thousand at a time."""
    width = len(tree.root.shape.key)
    for identifiers in contents.identifiers(client, name or tree.written):
        keys = [root_key(identifier, width) for identifier in identifiers]
        there = reader.existing(tree, keys)
        if gone := [key for key in keys if key not in there]:
            yield gone
