"""Erasing in search indexes: documents hold what the source has; what they held before goes from the files as well."""

from collections.abc import Collection
from contextlib import closing

from elastic_transport import TransportError
from elasticsearch import ApiError

from cdc.captured import Chosen
from cdc.catalog import Shape
from cdc.documents import Tree, failures, index
from cdc.documents.letters import DocumentLetters
from cdc.documents.writer import Writer
from cdc.settings import CdcSettings
from cdc.verify.checksum import Key


def rewrite(chosen: Chosen, shape: Shape, trees: Collection[Tree], config: CdcSettings, key: Key) -> int:
    """Read the documents anew of which the row is the root, and drop from the files of every index that shows the table
    what was overwritten or deleted; how many documents were read.

    The sink has passed the row's changes: documents below which it stands were read after them.

    Raises:
        TransientError: Elasticsearch or the source does not answer.
    """
    if not trees:
        return 0
    roots = [tree for tree in trees if tree.root.shape.qualified == shape.qualified]
    with closing(index.connect(config.elasticsearch_url)) as client:
        letters = DocumentLetters(config.millrace_state_dsn, config.kafka_bootstrap, chosen.file.source)
        with closing(Writer(chosen.file, chosen.known, client, letters)) as writer:
            for tree in roots:
                writer.write(tree, [key])
        try:
            for tree in trees:
                client.indices.refresh(index=tree.written)
                client.options(request_timeout=600).indices.forcemerge(
                    index=tree.written, only_expunge_deletes=True, flush=True
                )
        except (ApiError, TransportError) as error:
            raise failures.unreachable(error) from error
    return len(roots)
