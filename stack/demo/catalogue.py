"""A realistic catalogue, made the same for the same seed: a category tree and some thousand products in it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of product: the leaf category it lives in, its nouns, brands, price range in euro, and attributes."""

    path: tuple[str, ...]
    nouns: tuple[str, ...]
    brands: tuple[str, ...]
    prices: tuple[int, int]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)


_COLOURS = (
    "black",
    "white",
    "graphite",
    "navy",
    "forest green",
    "terracotta",
    "sand",
    "crimson",
    "sky blue",
    "mustard",
)
_MATERIALS = (
    "oak",
    "walnut",
    "stainless steel",
    "cast iron",
    "linen",
    "merino wool",
    "organic cotton",
    "leather",
    "bamboo",
    "glass",
)
_QUALITIES = (
    "Classic",
    "Compact",
    "Lightweight",
    "Handmade",
    "Everyday",
    "Premium",
    "Foldable",
    "Insulated",
    "Quiet",
    "Nordic",
    "Café",
)
_SIZES = ("XS", "S", "M", "L", "XL")

KINDS: tuple[Kind, ...] = (
    Kind(("Home", "Kitchen", "Knives"), ("Chef's Knife", "Bread Knife", "Paring Knife", "Santoku"), ("Solinger", "Kaji", "Opal"), (19, 240), {"material": _MATERIALS[2:4], "blade_cm": ("9", "15", "18", "21")}),
    Kind(("Home", "Kitchen", "Cookware"), ("Frying Pan", "Saucepan", "Casserole", "Wok"), ("Ferrum", "Opal", "Hestia"), (25, 320), {"material": _MATERIALS[2:4], "diameter_cm": ("20", "24", "28", "32")}),
    Kind(("Home", "Kitchen", "Coffee"), ("Espresso Machine", "Coffee Grinder", "French Press", "Moka Pot"), ("Brasserie", "Crema", "Hestia"), (18, 890), {"colour": _COLOURS}),
    Kind(("Home", "Living Room", "Lamps"), ("Floor Lamp", "Table Lamp", "Reading Lamp"), ("Lumen & Co", "Nordlys"), (29, 410), {"colour": _COLOURS, "material": _MATERIALS}),
    Kind(("Home", "Living Room", "Cushions"), ("Cushion", "Throw", "Floor Cushion"), ("Loom", "Nordlys"), (12, 95), {"colour": _COLOURS, "material": _MATERIALS[4:7]}),
    Kind(("Home", "Bedroom", "Bed Linen"), ("Duvet Cover", "Fitted Sheet", "Pillowcase"), ("Loom", "Somnia"), (15, 180), {"colour": _COLOURS, "material": _MATERIALS[4:7]}),
    Kind(("Fashion", "Women", "Shoes"), ("Running Shoes", "Ankle Boots", "Sandals", "Sneakers"), ("Strider", "Calzado", "Fells"), (39, 260), {"colour": _COLOURS, "size": ("36", "37", "38", "39", "40", "41")}),
    Kind(("Fashion", "Women", "Jackets"), ("Rain Jacket", "Parka", "Denim Jacket"), ("Fells", "Marlow"), (59, 420), {"colour": _COLOURS, "size": _SIZES}),
    Kind(("Fashion", "Men", "Shoes"), ("Running Shoes", "Hiking Boots", "Loafers", "Sneakers"), ("Strider", "Calzado", "Fells"), (45, 280), {"colour": _COLOURS, "size": ("41", "42", "43", "44", "45", "46")}),
    Kind(("Fashion", "Men", "Shirts"), ("Oxford Shirt", "Flannel Shirt", "T-Shirt", "Polo"), ("Marlow", "Plain"), (15, 120), {"colour": _COLOURS, "size": _SIZES}),
    Kind(("Fashion", "Accessories", "Bags"), ("Backpack", "Tote Bag", "Messenger Bag", "Weekender"), ("Fells", "Carry"), (29, 340), {"colour": _COLOURS, "material": _MATERIALS[6:8]}),
    Kind(("Electronics", "Audio", "Headphones"), ("Headphones", "Earbuds", "Headset"), ("Sonora", "Pulse", "Quietus"), (25, 480), {"colour": _COLOURS[:4], "connection": ("wireless", "wired")}),
    Kind(("Electronics", "Audio", "Speakers"), ("Speaker", "Soundbar", "Bookshelf Speaker"), ("Sonora", "Pulse"), (35, 900), {"colour": _COLOURS[:4]}),
    Kind(("Electronics", "Computers", "Keyboards"), ("Mechanical Keyboard", "Keyboard", "Numpad"), ("Keyline", "Pulse"), (29, 260), {"layout": ("DE", "US", "FR"), "colour": _COLOURS[:4]}),
    Kind(("Electronics", "Computers", "Monitors"), ("Monitor", "Portable Monitor"), ("Vista", "Keyline"), (149, 1400), {"inches": ("24", "27", "32", "34")}),
    Kind(("Electronics", "Cables"), ("USB-C Cable", "HDMI Cable", "Charging Cable"), ("Plain", "Keyline"), (6, 45), {"length_m": ("0.5", "1", "2", "3")}),
    Kind(("Sports", "Outdoor", "Tents"), ("Tent", "Tarp", "Bivouac"), ("Fells", "Basecamp"), (49, 780), {"persons": ("1", "2", "3", "4")}),
    Kind(("Sports", "Outdoor", "Bottles"), ("Water Bottle", "Thermos", "Flask"), ("Basecamp", "Hydra"), (9, 65), {"colour": _COLOURS, "litres": ("0.5", "0.75", "1")}),
    Kind(("Sports", "Yoga"), ("Yoga Mat", "Yoga Block", "Bolster"), ("Asana", "Plain"), (9, 110), {"colour": _COLOURS}),
    Kind(("Sports", "Cycling"), ("Bike Helmet", "Bike Light", "Pannier", "Gloves"), ("Velo", "Strider"), (12, 220), {"colour": _COLOURS, "size": _SIZES[1:4]}),
    Kind(("Books & Paper", "Notebooks"), ("Notebook", "Planner", "Sketchbook"), ("Folio", "Plain"), (5, 48), {"colour": _COLOURS, "ruling": ("plain", "ruled", "dotted")}),
    Kind(("Books & Paper", "Pens"), ("Fountain Pen", "Ballpoint Pen", "Pencil Set"), ("Folio", "Nib"), (3, 190), {"colour": _COLOURS}),
    Kind(("Garden", "Tools"), ("Pruning Shears", "Spade", "Hand Trowel", "Watering Can"), ("Verdant", "Ferrum"), (8, 130), {"material": _MATERIALS[2:3]}),
    Kind(("Garden", "Plants"), ("Olive Tree", "Lavender", "Monstera", "Herb Set"), ("Verdant",), (6, 210), {"pot_cm": ("12", "17", "24", "30")}),
)  # fmt: skip


def categories() -> list[tuple[str, ...]]:
    """Paths of all categories, parents before children."""
    return sorted(
        {kind.path[: depth + 1] for kind in KINDS for depth in range(len(kind.path))},
        key=lambda path: (len(path), path),
    )


def slug(path: tuple[str, ...]) -> str:
    """A category's slug: the words of its path."""
    words = "".join(letter if letter.isalnum() else " " for letter in " ".join(path).lower()).split()
    return "-".join(words)


def products(count: int, seed: int) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """``count`` products as (category path, body for POST /products without its category)."""
    chooser = random.Random(seed)
    for number in range(1, count + 1):
        kind = chooser.choice(KINDS)
        noun, brand, quality = chooser.choice(kind.nouns), chooser.choice(kind.brands), chooser.choice(_QUALITIES)
        attributes = {name: chooser.choice(values) for name, values in kind.attributes.items()}
        detail = attributes.get("colour") or attributes.get("material") or ""
        low, high = kind.prices
        cents = round(low * 100 * (high / low) ** chooser.random()) // 10 * 10 + 9
        name = f"{brand} {quality} {noun}" + (f", {detail}" if detail else "")
        yield (
            kind.path,
            {
                "sku": f"{slug((noun,))[:12].upper()}-{number:05d}",
                "name": name,
                "brand": brand,
                "description": f"{quality} {noun.lower()} by {brand}. "
                + " ".join(f"{label.replace('_', ' ').capitalize()}: {value}." for label, value in attributes.items()),
                "attributes": attributes,
                "price": {"amount": f"{cents / 100:.2f}", "currency": "EUR"},
                "stock": chooser.randint(8, 120) if chooser.random() > 0.02 else 0,
            },
        )
