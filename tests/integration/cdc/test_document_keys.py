"""The roots of a document tree are listed lot by lot: each of them once, whatever its key looks like as text."""

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.documents.reading import Reader
from tests.integration.cdc.conftest import MakeSource, run

DOCUMENTS = """
documents:
  - index: listed
    mapping: {a: {type: integer}, b: {type: long}}
    nodes: {table: t, columns: [a, b]}
"""


def test_numbers_are_listed_by_their_value_not_by_their_digits(make_source: MakeSource) -> None:
    """As text 10 comes before 2: by that order a lot would end with a number, and the next begin after it, past those between."""
    source = make_source("CREATE TABLE t (a int, b int8, PRIMARY KEY (a, b))", DOCUMENTS)
    run(source, "INSERT INTO t SELECT a, b FROM generate_series(1, 3) a, generate_series(8, 12) b")
    with source_database.connect(source.file) as session:
        [tree] = documents.load_trees(source.file, session)
        known = engine_state.SourceState(source.name, *source_database.identity(session), 1)
    reader = Reader(source.file, known)
    listed = [(int(a), int(b)) for lot in reader.keys(tree, 4) for a, b in lot]
    reader.close()
    assert listed == [(a, b) for a in range(1, 4) for b in range(8, 13)]
