"""Keys as a source file writes them: ``product:{product_id}`` is filled from the images of a changed row."""

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Template:
    """One template. ``prefix`` is its text up to the first column: every key that it can give begins so."""

    text: str
    prefix: str
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read a template.

        Raises:
            ValueError: it does not begin with a text, or names no column.
        """
        complaint = f"{text!r} is no template of a key such as 'product:{{product_id}}'"
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError:
            raise ValueError(complaint) from None
        columns = tuple(name for _, name, _, _ in parts if name is not None)
        plain = all(name.isidentifier() and not form and not conversion for _, name, form, conversion in parts if name)
        if not columns or "" in columns or not plain or not parts[0][0]:
            raise ValueError(complaint)
        return cls(text, parts[0][0], columns)

    def keys(self, images: Iterable[Mapping[str, Any] | None], absent: str) -> Iterator[str]:
        """The key of each image that has all of the columns; a NULL, or what the log leaves out (``absent``), gives none."""
        for image in images:
            values = {} if image is None else {column: image.get(column) for column in self.columns}
            if values and not any(value is None or value == absent for value in values.values()):
                yield self.text.format_map(values)
