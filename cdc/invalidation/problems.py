"""What speaks against the part ``invalidate:`` of a source file, found before anything is changed."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from cdc.catalog import Shape
from cdc.key_template import Template


def problems(invalidate: Mapping[str, str], shapes: Iterable[Shape], there: Collection[str]) -> Iterator[str]:
    """One line a fault, given the captured tables and the names of all that there are."""
    captured = {shape.qualified: shape for shape in shapes}
    for table, text in invalidate.items():
        shape = captured.get(table)
        if shape is None:
            reason = "is not captured" if table in there else "does not exist"
            yield f"`invalidate.{table}`: the table {reason}; captured are {', '.join(captured) or 'none'}"
            continue
        known = [column.name for column in shape.columns]
        for column in Template.parse(text).columns:
            if column not in known:
                yield f"`invalidate.{table}`: the column {column} does not exist; there are {', '.join(known)}"
            elif any(each.mask for each in shape.columns if each.name == column):
                yield f"`invalidate.{table}`: the column {column} is masked, so the cache's key cannot be told from it"
            elif shape.replica_identity != "full" and column not in shape.key:
                yield (
                    f"`invalidate.{table}`: the log does not tell what {column} was before a change; "
                    f"ALTER TABLE {table} REPLICA IDENTITY FULL;"
                )
