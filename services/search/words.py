"""Words about the price within what was typed: "lamp under 50", "between 20 and 40 euro", "cheap bag", "cheapest tent".

They become bounds and an order, are taken out of the text, and are told in the answer so that a shopper sees what was made
of them. A number without a currency counts only after words that can hardly mean anything else, and never before a unit of
measure: "over 30 litres" and "Air Max 90" are left as they are. What a parameter says goes before what is typed.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from services.search.folding import fold

_NUMBER = r"(\d{1,6}(?:[.,]\d{1,2})?)(?![\d.,]*\d)"
_UNITS = (
    r"cm|mm|m|km|l|ml|cl|litres?|liters?|inch(?:es)?|in|kg|g|w|v|watts?|volts?|hz|gb|tb"
    r"|persons?|people|pieces?|pages?|years?"
)
_UNIT = rf"(?!\s*(?:(?:{_UNITS})\b|[%\"]))"
_MONEY = r"(?:\s*(?:€|euros?\b|eur\b))"
_SIGN = r"(?:€\s*)?"

_PLAIN = _SIGN + _NUMBER + rf"(?:{_MONEY}|{_UNIT})"
_PRICED = rf"(?:€\s*{_NUMBER}|{_NUMBER}{_MONEY})"
_BETWEEN = re.compile(rf"\bbetween\s+{_SIGN}{_NUMBER}{_MONEY}?\s+and\s+{_PLAIN}")
_FROM_TO = re.compile(rf"(?:\bfrom\s+)?{_SIGN}{_NUMBER}{_MONEY}?\s*(?:-|–|to)\s*{_PRICED}")
_BELOW = re.compile(rf"\b(?:under|below|less than|cheaper than)\s+{_PLAIN}")
_AT_MOST = re.compile(rf"\b(?:up to|at most|max(?:imum)?)\s+{_PRICED}")
_ABOVE = re.compile(rf"\b(?:over|above|more than)\s+{_PLAIN}")
_AT_LEAST = re.compile(rf"\b(?:from|at least|min(?:imum)?|starting at)\s+{_PRICED}")
_CHEAP = re.compile(r"\b(?:cheap|inexpensive|low priced)\b")
_CHEAPEST = re.compile(r"\b(?:cheapest|lowest price)\b")
_DEAR = re.compile(r"\bmost expensive\b")
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Typed:
    """What was typed: folded words to find, and what the words about the price say. `understood` are those words."""

    text: str
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    cheapest_first: bool | None = None
    cheap: bool = False
    understood: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words to find."""
        return self.text.split()


def read(query: str) -> Typed:
    """What a typed text asks for. Of several words about one thing the first counts, and the others are words to find."""
    text = fold(query)
    understood: list[str] = []

    def take(pattern: re.Pattern[str]) -> list[Decimal] | None:
        nonlocal text
        found = pattern.search(text)
        if found is None:
            return None
        understood.append(" ".join(found[0].split()))
        text = f"{text[: found.start()]} {text[found.end() :]}"
        return [Decimal(number.replace(",", ".")) for number in found.groups() if number]

    low = high = None
    if bounds := take(_BETWEEN) or take(_FROM_TO):
        low, high = min(bounds), max(bounds)
    if high is None:
        if bounds := take(_BELOW):
            high = max(bounds[0] - _CENT, Decimal(0))
        elif bounds := take(_AT_MOST):
            high = bounds[0]
    if low is None:
        if bounds := take(_ABOVE):
            low = bounds[0] + _CENT
        elif bounds := take(_AT_LEAST):
            low = bounds[0]
    cheapest = True if take(_CHEAPEST) is not None else False if take(_DEAR) is not None else None
    cheap = take(_CHEAP) is not None
    return Typed(" ".join(text.split()), low, high, cheapest, cheap, tuple(understood))
