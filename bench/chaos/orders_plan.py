"""What the customers of the orders' chaos want, and after how many of them which process is killed; all from the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

KILLED = ("orders", "payments", "products", "redis", "kafka", "postgres")
"""What is killed in turn."""

GOOD, DECLINED, SILENT, CANCELLED = "good", "declined", "silent", "cancelled"
SHARES = {DECLINED: 0.10, SILENT: 0.05, CANCELLED: 0.05}
"""Kinds of orders beside the good ones. Silent: the provider's answer does not come, whatever it has done."""

_TOKENS = {
    DECLINED: ("tok_declined", "tok_declined", "tok_declined", "tok_declined", "tok_capture_declined"),
    SILENT: ("tok_lost", "tok_unreached", "tok_late", "tok_capture_lost", "tok_capture_unreached", "tok_capture_late"),
}
_ROUND = 250
"""Orders for which each process is killed once."""


@dataclass(frozen=True)
class Wish:
    """One order that a customer of its own places; `items` are pieces by the product's number."""

    number: int
    kind: str
    token: str
    items: dict[int, int]


@dataclass(frozen=True)
class Kill:
    """Kill the process once so many customers have their answer."""

    answered: int
    process: str


def wishes(seed: int, orders: int, products: int) -> list[Wish]:
    """The orders: the shares are exact, who is what is drawn by lot."""
    chooser = random.Random(f"{seed}/wishes")
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(orders * share))]
    kinds += [GOOD] * (orders - len(kinds))
    chooser.shuffle(kinds)
    return [
        Wish(
            number,
            kind,
            chooser.choice(_TOKENS.get(kind, ("tok_ok",))),
            {product: chooser.randint(1, 3) for product in chooser.sample(range(products), chooser.randint(1, 3))},
        )
        for number, kind in enumerate(kinds)
    ]


def kills(seed: int, orders: int, processes: Sequence[str]) -> list[Kill]:
    """Each process once in every round of orders, in an order of its own each time, evenly over all of them."""
    chooser = random.Random(f"{seed}/kills")
    victims = [victim for _ in range(max(1, orders // _ROUND)) for victim in chooser.sample(processes, len(processes))]
    # The first and the last customers have peace: there must be sagas to hit, also at the last kill.
    gap = orders / (len(victims) + 2)
    return [Kill(round((number + 0.5) * gap), victim) for number, victim in enumerate(victims)]
