"""Which columns the columns of one SELECT are made from, read by sqlglot from ClickHouse's SQL.

It says what it could not resolve instead of leaving it out. It knows no model by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from lineage.clauses import array_joined, first_select, is_parameter, listed, source_of, table_name

DIALECT = "clickhouse"
Leaf = tuple[str, str]
"""`database.table` and column; the column `*` stands for which rows the table has."""
Schema = Mapping[str, Mapping[str, Mapping[str, str]]]
ROWS = "*"
_DECIDING = ("where", "prewhere", "group", "having", "qualify", "windows")


@dataclass
class Traced:
    """What a SELECT needs: for each of its columns, and to decide which rows it has."""

    columns: dict[str, set[Leaf]] = field(default_factory=dict)
    rows: set[Leaf] = field(default_factory=set)
    unresolved: list[str] = field(default_factory=list)


def trace(sql: str, schema: Schema) -> Traced:
    """Trace a query over tables whose columns are known as {database: {table: {column: type}}}."""
    try:
        tree = qualify(
            sqlglot.parse_one(sql, dialect=DIALECT),
            schema=dict(schema),
            dialect=DIALECT,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        return _Tracer(traverse_scope(tree), schema).traced
    except SqlglotError as error:
        return Traced(unresolved=[f"sqlglot cannot read it: {str(error).splitlines()[0]}"])


class _Tracer:
    def __init__(self, scopes: list[Scope], schema: Schema) -> None:
        self._schema = schema
        self._of = {id(scope.expression): scope for scope in scopes}
        self._known: dict[tuple[int, str], set[Leaf]] = {}
        self._said: dict[str, None] = {}
        root = scopes[-1]
        columns = {name: self._output(root, name) for name in first_select(root).named_selects}
        rows = set[Leaf]()
        for scope in scopes:
            rows |= self._deciding(scope)
        self.traced = Traced(columns, rows, list(self._said))

    def _deciding(self, scope: Scope) -> set[Leaf]:
        """Leaves that decide which rows the scope has: its tables' own rows, and what it filters, joins and groups by."""
        leaves = {
            (table_name(table), ROWS) for _, table in scope.selected_sources.values() if isinstance(table, exp.Table)
        }
        if not isinstance(scope.expression, exp.Select):
            return leaves
        for clause in _DECIDING:
            for part in listed(scope.expression.args.get(clause)):
                leaves |= self._within(part)
        for join in scope.expression.args.get("joins") or []:
            for part in listed(join.args.get("on")):
                leaves |= self._within(part)
        return leaves

    def _rows(self, scope: Scope) -> set[Leaf]:
        """Leaves that decide which rows the scope and all that it reads have."""
        leaves = self._deciding(scope)
        inner = [source for _, source in scope.selected_sources.values() if isinstance(source, Scope)]
        for part in [*inner, *scope.set_operation_scopes]:
            leaves |= self._rows(part)
        return leaves

    def _within(self, expression: exp.Expr) -> set[Leaf]:
        """Leaves of every column in an expression, each looked up in the SELECT that it stands in."""
        leaves = set[Leaf]()
        for column in expression.find_all(exp.Column):
            leaves |= self._column(column)
        return leaves

    def _column(self, column: exp.Column) -> set[Leaf]:
        scope = self._scope_of(column)
        if scope is None:
            return self._unresolved(column)
        if not column.table:
            return self._unqualified(column, scope)
        source = source_of(scope, column.table)
        if isinstance(source, exp.Table):
            return {(table_name(source), column.name)}
        if isinstance(source, Scope):
            return self._output(source, column.name)
        return self._unresolved(column)

    def _unqualified(self, column: exp.Column, scope: Scope) -> set[Leaf]:
        """A name that is no table's: a lambda's parameter, an ARRAY JOIN's element, another column of the SELECT."""
        if is_parameter(column):
            return set()
        for element in array_joined(scope.expression):
            if element.alias_or_name == column.name:
                return self._within(element.unalias())
        sources = [source for _, source in scope.selected_sources.values()]
        if len(sources) == 1 and isinstance(sources[0], exp.Table) and self._may_have(sources[0], column.name):
            return {(table_name(sources[0]), column.name)}
        if column.name in first_select(scope).named_selects and column.parent_select is scope.expression:
            return self._output(scope, column.name)
        return self._unresolved(column)

    def _may_have(self, table: exp.Table, column: str) -> bool:
        """Whether the table has the column, or nothing is known of its columns."""
        known = self._schema.get(table.db, {}).get(table.name)
        return known is None or column in known

    def _output(self, scope: Scope, name: str) -> set[Leaf]:
        key = (id(scope), name)
        if key not in self._known:
            self._known[key] = set()  # a name that means itself ends here
            self._known[key] = self._made(scope, name)
        return self._known[key]

    def _made(self, scope: Scope, name: str) -> set[Leaf]:
        if isinstance(scope.expression, exp.SetOperation):
            position = first_select(scope).named_selects.index(name)
            leaves = set[Leaf]()
            for part in scope.set_operation_scopes:
                leaves |= self._output(part, first_select(part).named_selects[position])
            return leaves
        for projection in first_select(scope).selects:
            if projection.alias_or_name == name:
                leaves = self._within(projection)
                if not leaves and projection.find(exp.AggFunc, exp.Count, exp.Window):
                    leaves = self._rows(scope)  # count() is made of the rows themselves
                return leaves
        self._said[f"column {name} of {scope.expression.sql(DIALECT)[:80]}"] = None
        return set()

    def _scope_of(self, column: exp.Column) -> Scope | None:
        select = column.find_ancestor(exp.Select)
        return self._of.get(id(select))

    def _unresolved(self, column: exp.Column) -> set[Leaf]:
        self._said[column.sql(DIALECT)] = None
        return set()
