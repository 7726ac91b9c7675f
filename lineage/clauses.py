"""Parts of a SELECT as sqlglot keeps them."""

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.optimizer.scope import Scope


def source_of(scope: Scope, name: str) -> object:
    """The table or SELECT by that name, looked for outwards: a subquery may use its surroundings."""
    at: Scope | None = scope
    while at is not None:
        if name in at.sources:
            return at.sources[name]
        at = at.parent
    return None


def first_select(scope: Scope) -> exp.Select:
    """The SELECT itself, or the one of a UNION that names its columns."""
    expression = scope.expression
    while not isinstance(expression, exp.Select):
        expression = expression.this
    return expression


def array_joined(select: exp.Expr) -> Iterator[exp.Expr]:
    """The elements of its ARRAY JOINs, each with its alias."""
    for join in select.args.get("joins") or []:
        if join.kind == "ARRAY":
            yield join.this
            yield from join.expressions


def is_parameter(column: exp.Column) -> bool:
    """Whether the name is a parameter of a lambda around it."""
    within = column.find_ancestor(exp.Lambda)
    while within is not None:
        if column.name in {parameter.name for parameter in within.expressions}:
            return True
        within = within.find_ancestor(exp.Lambda)
    return False


def listed(clause: object) -> list[exp.Expr]:
    """A clause that is missing, one expression or several."""
    if clause is None:
        return []
    return list(clause) if isinstance(clause, list) else [clause]  # type: ignore[list-item]


def table_name(table: exp.Table) -> str:
    """`database.table`"""
    return f"{table.db}.{table.name}"
