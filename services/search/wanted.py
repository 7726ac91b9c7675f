"""What a search comes to, once its words are read: the words to find, the filters, the order."""

from dataclasses import dataclass, replace
from decimal import Decimal

from services.search import words
from services.search.schemas import Filters, Interpreted, Sort, decimal_string, to_cents


@dataclass(frozen=True)
class Wanted:
    """The words are folded; the rest are the parameters, completed by what the words say."""

    words: list[str]
    category: str | None
    brand: str | None
    min_cents: int | None
    max_cents: int | None
    in_stock: bool | None
    sort: Sort
    cheap: bool
    interpreted: Interpreted


def wanted(asked: Filters) -> Wanted:
    """What the parameters and the typed words ask for together; a parameter goes before the words."""
    typed = words.read(asked.q)
    low, high = (
        typed.min_price if asked.min_price is None else asked.min_price,
        typed.max_price if asked.max_price is None else asked.max_price,
    )
    sort: Sort = asked.sort
    if sort == "relevance" and typed.cheapest_first is not None:
        sort = "price_asc" if typed.cheapest_first else "price_desc"
    return Wanted(
        typed.words,
        asked.category,
        asked.brand,
        _cents(low),
        _cents(high),
        asked.in_stock,
        sort,
        typed.cheap and high is None,
        Interpreted(
            text=typed.text,
            understood=list(typed.understood),
            min_price=_amount(low),
            max_price=_amount(high),
            sort=sort,
        ),
    )


def at_most(want: Wanted, cents: int) -> Wanted:
    """The same up to a price."""
    told = want.interpreted.model_copy(update={"max_price": decimal_string(cents)})
    return replace(want, max_cents=cents, interpreted=told)


def _cents(amount: Decimal | None) -> int | None:
    return None if amount is None else to_cents(amount)


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else decimal_string(to_cents(amount))
