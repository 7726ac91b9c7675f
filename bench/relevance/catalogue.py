"""The catalogue that relevance is judged on: the demo's kinds of products and some with accents, the same at every run.

A product keeps what it was made of (its thing, brand, quality, colour, price): by these it is judged, never by its text.
"""

import random
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bench.relevance.index import categories, folded
from stack.demo.catalogue import KINDS, Kind, slug

SEED, COUNT = 8, 1500
QUALITIES = ("Classic", "Compact", "Lightweight", "Handmade", "Everyday", "Premium", "Foldable", "Insulated", "Café")
ACCENTED = (
    Kind(("Home", "Kitchen", "Glasses"), ("Weißbier Glass", "Crème Brûlée Dish", "Rosé Carafe"), ("Müller", "Søren", "Opal"), (8, 60), {"colour": ("white", "black")}),
    Kind(("Home", "Kitchen", "Tea"), ("Maté Gourd", "Gōngfu Teapot", "Tea Towel"), ("Kyōto", "Søren", "Hestia"), (9, 120), {"colour": ("sand", "black")}),
    Kind(("Fashion", "Women", "Dresses"), ("Appliqué Dress", "Lamé Skirt", "Wrap Dress"), ("Zoë", "Marlow", "Straßer"), (39, 340), {"colour": ("navy", "crimson", "black")}),
)  # fmt: skip


@dataclass(frozen=True)
class Product:
    """What a product is."""

    number: int
    path: tuple[str, ...]
    thing: str
    brand: str
    quality: str
    attributes: dict[str, str]
    cents: int

    @property
    def id(self) -> str:
        """The document's id."""
        return str(uuid5(NAMESPACE_URL, f"relevance/{self.number}"))

    @property
    def sku(self) -> str:
        """As the demo's shop makes them."""
        return f"{slug((self.thing,))[:12].upper()}-{self.number:05d}"

    def document(self) -> dict[str, Any]:
        """The product's document; its texts are made as the demo's."""
        detail = self.attributes.get("colour") or self.attributes.get("material")
        said = " ".join(f"{label.replace('_', ' ').capitalize()}: {value}." for label, value in self.attributes.items())
        return folded(
            {
                "id": self.id,
                "sku": self.sku,
                "name": f"{self.brand} {self.quality} {self.thing}" + (f", {detail}" if detail else ""),
                "brand": self.brand,
                "description": f"{self.quality} {self.thing.lower()} by {self.brand}. {said}",
                "attributes": self.attributes,
                "status": "active",
                "created_at": "2026-01-01T00:00:00+00:00",
                "updated_at": "2026-01-01T00:00:00+00:00",
                "category": categories(self.path),
                "price": {"amount_cents": self.cents, "currency": "EUR"},
                "stock": {"available": 5},
            }
        )


def products() -> list[Product]:
    """All products."""
    chooser = random.Random(SEED)
    return [_product(chooser, number) for number in range(1, COUNT + 1)]


def _product(chooser: random.Random, number: int) -> Product:
    kind = chooser.choice((*KINDS, *ACCENTED))
    low, high = kind.prices
    return Product(
        number,
        kind.path,
        chooser.choice(kind.nouns),
        chooser.choice(kind.brands),
        chooser.choice(QUALITIES),
        {name: chooser.choice(values) for name, values in kind.attributes.items()},
        round(low * 100 * (high / low) ** chooser.random()),
    )
