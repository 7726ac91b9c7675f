"""What a change of a table's shape means for its copy: nothing, an alteration in place, or a copy made anew.

Columns are known by their number in the catalog, never by their name. In place is only what no value can be taken for another by:
a column that comes under a name that none had before, one that goes, and NOT NULL. All else (another name, type, key, another
table of the name) has the copy made anew: changes of the former shape may lie unread in the topic, and only a fence tells them from
those of the new one. So has a column that comes or goes where others are excluded: the publication names the columns then, and
until it names the new ones changes come without them.
"""

from dataclasses import dataclass, replace

from cdc.catalog import Column, Shape
from cdc.types import mapping


@dataclass(frozen=True)
class Alteration:
    """What is done to the copy in place. ``after``: the table as it is now, with what the copy cannot forbid yet."""

    after: Shape
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    loosened: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What has happened, for a log; empty when nothing of the shape has changed."""
        parts = (("added", self.added), ("dropped", self.dropped), ("may be NULL now:", self.loosened))
        return "; ".join(f"{word} {', '.join(names)}" for word, names in parts if names)


def alteration(before: Shape, now: Shape) -> Alteration:
    """How to alter the copy in place; only where `reason_to_copy_anew` finds none."""
    old = {column.number: column for column in before.columns}
    numbers = {column.number for column in now.columns}
    gone = tuple(column.name for column in before.columns if column.number not in numbers)
    after = replace(
        now,
        columns=tuple(_as_copied(column, old.get(column.number)) for column in now.columns),
        former=tuple(dict.fromkeys((*before.former, *gone))),
        history=before.history,  # an apply begins one, and ends it
        since=before.since,
    )
    return Alteration(
        after,
        added=tuple(column.name for column in now.columns if column.number not in old),
        dropped=gone,
        loosened=tuple(c.name for c in now.columns if c.number in old and c.nullable and not old[c.number].optional),
    )


def _as_copied(column: Column, old: Column | None) -> Column:
    """A column as the copy has it: one that the copy did not have, or had as nullable, stays so there."""
    return replace(column, late=not column.nullable and (old is None or old.optional))


def reason_to_copy_anew(before: Shape, now: Shape) -> str | None:
    """Why the copy has to be made anew; None when it can be altered in place, or nothing has changed."""
    if before.relation and now.relation != before.relation:
        return "another table has its name now"
    if now.key != before.key:
        return f"its key was ({', '.join(before.key)}), is ({', '.join(now.key)})"
    if now.append_only != before.append_only:
        return "it is declared append_only now" if now.append_only else "it is not declared append_only any more"
    by_number = {column.number: column for column in now.columns}
    for old in before.columns:
        if (new := by_number.get(old.number)) and (reason := _column(old, new)):
            return reason
    numbers = {column.number for column in before.columns}
    if before.hidden != now.hidden:
        return "other columns of it are excluded"
    if now.hidden and numbers != by_number.keys():
        return "its columns were altered while others are excluded, and the publication names those that are not"
    used = {column.name for column in before.columns} | set(before.former)
    if again := [column.name for column in now.columns if column.number not in numbers and column.name in used]:
        return f"the name {again[0]} is used again, by another column"
    return None


def _column(old: Column, new: Column) -> str | None:
    if new.name != old.name:
        return f"column {old.name} was renamed to {new.name}"
    if replace(new, nullable=old.nullable) != old:
        if new.stored_as != old.stored_as:
            return f"column {old.name} is declared to be kept otherwise"
        return f"column {old.name} has changed its type from {old.type} to {new.type}"
    if new.nullable and not old.optional and mapping(new).clickhouse != mapping(old).clickhouse:
        return f"column {old.name} may be NULL now, and is kept otherwise then"
    return None
