"""How a status is said to a person: sizes and states in words, alike on a terminal and on the page."""

from cdc.status.facts import TableStatus


def state_of(table: TableStatus) -> str:
    """What is being done with a table."""
    if table.parked:
        return "not followed"
    if table.copying:
        return f"copying, {table.copying[0]} of {table.copying[1]} ranges"
    if not table.backfilled:
        return "waits for its backfill"
    return "being mended" if table.mend else "followed"


def size_in_words(size: int | None) -> str:
    """A number of bytes with its unit; ``?`` when nobody could be asked."""
    if size is None:
        return "?"
    value = float(max(size, 0))
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError
