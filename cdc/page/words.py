"""How the page says numbers and times: short, with their units, alike everywhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape


def duration(seconds: float) -> str:
    """A length of time in its largest unit that is not below one: ``0.4 s``, ``12 s``, ``3 min``, ``5 h``, ``2 days``."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def ago(moment: datetime) -> str:
    """How long a moment is past."""
    return f"{duration((datetime.now(UTC) - moment).total_seconds())} ago"


def clock(seconds: float) -> str:
    """A moment, in seconds since 1970, as this machine's clock shows it."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%H:%M:%S}"


def number(count: int) -> str:
    """A count with its thousands apart, by a space that does not break."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plain(table: str) -> str:
    """A table without the schema that nearly all of them are in."""
    return table.replace(".public.", ".")


def coded(text: str) -> Markup:
    """A text in which what stands between backticks is shown as code; all of it is escaped."""
    said, *rest = text.split("`")
    shown = escape(said)
    for place, part in enumerate(rest):
        is_code = place % 2 == 0 and place + 1 < len(rest)
        shown += Markup("<code>{}</code>").format(part) if is_code else escape(part)
    return shown


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "clock": clock,
    "coded": coded,
    "duration": duration,
    "number": number,
    "plain": plain,
}
