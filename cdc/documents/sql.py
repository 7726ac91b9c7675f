"""The SQL of documents, made once per tree: read bodies by key, find roots from a changed row, list keys in order.

Keys travel as text in both directions (`text[]` parameters, one per key column, cast to the column's type inside), so
one form serves events, Elasticsearch ids and the database. Identifiers are quoted by psycopg; no value is ever pasted.
"""

from collections.abc import Iterable, Sequence

from psycopg import sql

from cdc.catalog import Shape
from cdc.documents.folding import MARK
from cdc.documents.trees import Field, Node, Tree
from cdc.types import mapping

LINK_CASTS = {
    "int2": "int2",
    "int4": "int4",
    "int8": "int8",
    "uuid": "uuid",
    "text": "text",
    "varchar": "text",
    "bpchar": "bpchar",
}


def read_bodies(tree: Tree) -> sql.Composed:
    """Parameters: one text[] per key column. Rows: one per distinct key asked for: key columns as text, then the
    document as JSON text, or NULL where there is no such root. One statement is one snapshot: no document is torn."""
    key = tree.root.shape.key
    return sql.SQL(
        "SELECT {asked}, d.body FROM (SELECT DISTINCT * FROM {wanted}) w LEFT JOIN LATERAL"
        " (SELECT {body}::text AS body FROM {table} t0 WHERE {same}) d ON true"
    ).format(
        asked=_comma(sql.SQL("w.{}::text").format(_k(i)) for i in range(len(key))),
        wanted=_arrays(tree.root.shape, key),
        body=_object(tree.root, 0),
        table=_table(tree.root.shape),
        same=_and(sql.SQL("t0.{} = w.{}").format(sql.Identifier(name), _k(i)) for i, name in enumerate(key)),
    )


def existing_keys(tree: Tree) -> sql.Composed:
    """Parameters: one text[] per key column. Rows: those of the keys, as text, that the root table has."""
    shape = tree.root.shape
    return sql.SQL("SELECT {texts} FROM {table} WHERE ({columns}) IN (SELECT * FROM {wanted})").format(
        texts=_texts(shape),
        table=_table(shape),
        columns=_comma(sql.Identifier(name) for name in shape.key),
        wanted=_arrays(shape, shape.key),
    )


def list_keys(tree: Tree) -> sql.Composed:
    """Parameters: the last key seen, one text per key column, then a limit. Rows: the following keys, as text."""
    shape = tree.root.shape
    columns = _comma(_own(shape, name) for name in shape.key)
    after = _comma(sql.SQL("%s::{}").format(_cast(shape, name)) for name in shape.key)
    return sql.SQL("SELECT {texts} FROM {table} WHERE ({columns}) > ({after}) ORDER BY {columns} LIMIT %s").format(
        texts=_texts(shape), table=_table(shape), columns=columns, after=after
    )


def first_keys(tree: Tree) -> sql.Composed:
    """Parameter: a limit. Rows: the first keys of the root table, as text."""
    shape = tree.root.shape
    columns = _comma(_own(shape, name) for name in shape.key)
    return sql.SQL("SELECT {texts} FROM {table} ORDER BY {columns} LIMIT %s").format(
        texts=_texts(shape), table=_table(shape), columns=columns
    )


def roots_of(path: Sequence[Node]) -> sql.Composed:
    """Parameters: one text[] per column by which the path's last node is linked to its parent. Rows: keys (as text) of
    the roots whose document shows, or showed under another parent, rows with these values."""
    link = path[-1].link
    assert link is not None, "a root is its own document"
    parents = path[:-1]
    joins = [
        sql.SQL(" JOIN {table} {alias} ON {on}").format(
            table=_table(node.shape), alias=_t(depth), on=_linked(node, depth)
        )
        for depth, node in enumerate(parents)
        if depth
    ]
    last = parents[-1]
    columns = _comma(sql.SQL("{}.{}").format(_t(len(parents) - 1), sql.Identifier(name)) for name in link.parent)
    return sql.SQL(
        "SELECT DISTINCT {keys} FROM {table} t0{joins} WHERE ({columns}) IN (SELECT * FROM {values})"
    ).format(
        keys=_comma(sql.SQL("t0.{}::text").format(sql.Identifier(name)) for name in path[0].shape.key),
        table=_table(path[0].shape),
        joins=sql.Composed(joins),
        columns=columns,
        values=_arrays(last.shape, link.parent),
    )


def _object(node: Node, depth: int) -> sql.Composed:
    """A JSON object of the row `t<depth>`: of a sub-select, as jsonb_build_object takes no more than 50 fields."""
    shown: list[sql.Composable] = [
        sql.SQL("{} AS {}").format(_value(node, field, depth), sql.Identifier(field.name)) for field in node.fields
    ]
    shown += [
        sql.SQL("{} AS {}").format(_child(child, depth + 1), sql.Identifier(child.label)) for child in node.children
    ]
    return sql.SQL("(SELECT row_to_json({o}) FROM (SELECT {shown}) {o})").format(
        o=sql.Identifier(f"o{depth}"), shown=_comma(shown)
    )


def _value(node: Node, field: Field, depth: int) -> sql.Composable:
    if field.others is not None:
        texts = (
            _masked(node, name, depth) or sql.SQL("{}::text").format(_column(name, depth)) for name in field.columns
        )
        return sql.SQL("concat_ws({}, {})").format(sql.Literal(field.delimiter), _comma(texts))
    column = _column(field.column, depth)
    if masked := _masked(node, field.column, depth):
        return masked
    if field.cents:
        return sql.SQL("({} * 100)::int8").format(column)
    if field.fold and field.many:
        return sql.SQL(
            "CASE WHEN {0} IS NOT NULL THEN ARRAY(SELECT {1} || x FROM unnest({0}) WITH ORDINALITY u (x, n) ORDER BY n) END"
        ).format(column, sql.Literal(MARK))
    return sql.SQL("{} || {}").format(sql.Literal(MARK), column) if field.fold else column


def _column(name: str, depth: int) -> sql.Composed:
    return sql.SQL("{}.{}").format(_t(depth), sql.Identifier(name))


def _masked(node: Node, name: str, depth: int) -> sql.SQL | None:
    """The column as its mask leaves it; None where it has none."""
    [known] = [each for each in node.shape.columns if each.name == name]
    if known.mask is None:
        return None
    return sql.SQL(mapping(known).copy(_column(name, depth).as_string(None)))


def _child(node: Node, depth: int) -> sql.Composed:
    """What a row of the parent, `t<depth - 1>`, shows of the node: its rows, or those that its table of links leads to."""
    first, at, joins = node, depth, list[sql.Composable]()
    while node.through:
        [node] = node.children
        at += 1
        joins.append(sql.SQL(" JOIN {} {} ON {}").format(_table(node.shape), _t(at), _linked(node, at)))
    one: sql.Composable = _value(node, node.fields[0], at) if node.scalar else _object(node, at)
    if node.many:
        order = _comma(sql.SQL("{}.{}").format(_t(at), sql.Identifier(name)) for name in node.shape.key)
        one = sql.SQL("coalesce(json_agg({} ORDER BY {}), '[]'::json)").format(one, order)
    return sql.SQL("(SELECT {one} FROM {table} {alias}{joins} WHERE {linked})").format(
        one=one, table=_table(first.shape), alias=_t(depth), joins=sql.Composed(joins), linked=_linked(first, depth)
    )


def _linked(node: Node, depth: int) -> sql.Composed:
    assert node.link is not None
    return _and(
        sql.SQL("{}.{} = {}.{}").format(_t(depth), sql.Identifier(child), _t(depth - 1), sql.Identifier(parent))
        for parent, child in zip(node.link.parent, node.link.child, strict=True)
    )


def _arrays(shape: Shape, names: Sequence[str]) -> sql.Composed:
    """`unnest` of one text[] parameter per column, cast to the columns' types, as rows (k0, k1...)."""
    return sql.SQL("unnest({}) u ({})").format(
        _comma(sql.SQL("%s::text[]::{}[]").format(_cast(shape, name)) for name in names),
        _comma(_k(i) for i in range(len(names))),
    )


def _cast(shape: Shape, name: str) -> sql.SQL:
    [kind] = [column.type for column in shape.columns if column.name == name]
    return sql.SQL(LINK_CASTS[kind])


def _texts(shape: Shape) -> sql.Composed:
    return _comma(sql.SQL("{}::text").format(sql.Identifier(name)) for name in shape.key)


def _table(shape: Shape) -> sql.Identifier:
    return sql.Identifier(shape.schema, shape.table)


def _own(shape: Shape, name: str) -> sql.Identifier:
    """The table's own column: a bare name in ORDER BY would mean the text of it that is selected, and 10 come before 2."""
    return sql.Identifier(shape.schema, shape.table, name)


def _t(depth: int) -> sql.Identifier:
    return sql.Identifier(f"t{depth}")


def _k(number: int) -> sql.Identifier:
    return sql.Identifier(f"k{number}")


def _comma(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _and(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(" AND ").join(parts)
