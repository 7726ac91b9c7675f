"""What a table's copy hides must stay hidden: a column that was masked or excluded is known by its number, whatever it, or its table,
is called now. A source file declares by name, so a rename would show it; only who names it anew can say that it stays hidden.
"""

from collections.abc import Iterable

from cdc.catalog import Column, Shape

_REMEDY = "declare it so under that name; or, to show it, `exclude` the table and apply, drop its raw table, then include it again"


def hides(shape: Shape) -> bool:
    """Whether the copy leaves something of the source's rows out."""
    return bool(shape.hidden) or any(column.mask for column in shape.columns)


def shown(captured: Iterable[Shape], now: Shape) -> str | None:
    """What the table would show now, under another name, that was hidden when it was captured; None: nothing."""
    by_number = {column.number: column for column in now.columns}
    for before in captured:
        if not _same_table(before, now):
            continue
        for number in before.hidden:
            if new := by_number.get(number):
                return f"column {new.name} was excluded when {before.qualified} was captured; {_REMEDY}"
        for old in before.columns:
            new = by_number.get(old.number)
            if old.mask and new and (new.name, now.qualified) != (old.name, before.qualified) and new.mask != old.mask:
                return (
                    f"{before.qualified}.{old.name} is held {in_words(old)} and is called {now.qualified}.{new.name} now; "
                    f"{_REMEDY}"
                )
    return None


def remasked(before: Shape, now: Shape) -> str | None:
    """What of a captured table's columns is masked otherwise than its copy has it; None: nothing."""
    if _same_table(before, now):
        numbers = {column.number: column for column in now.columns}
        pairs = [(old, numbers.get(old.number)) for old in before.columns]
    else:  # another table has the name: its topic holds values under their columns' names
        names = {column.name: column for column in now.columns}
        pairs = [(old, names.get(old.name)) for old in before.columns]
    changed = [(old, new) for old, new in pairs if new and new.name == old.name and new.mask != old.mask]
    return (
        "; ".join(f"{old.name} is held {in_words(old)}, and declared {in_words(new)}" for old, new in changed) or None
    )


def in_words(column: Column) -> str:
    """How a column is kept."""
    return "in clear" if column.mask is None else f"masked by {column.mask}"


def _same_table(before: Shape, now: Shape) -> bool:
    if before.relation and now.relation:
        return before.relation == now.relation
    return before.qualified == now.qualified
