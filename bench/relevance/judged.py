"""The judged queries: what is typed, and what is wanted by it, said in the catalogue's own terms.

Grades follow from four rules over what a product was made of, written before and apart from the search's code:

1. Every aspect that a query names must hold (thing or category, brand, quality, colour, price): all of them gives 3.
2. Another thing of the same leaf category as the wanted thing, with every other aspect, gives 1.
3. `cheap` and `cheapest` grade what rule 1 gives: the cheapest quarter keeps 3, the rest gets 1. An SKU grades only itself.
4. Anything else gives 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.relevance.catalogue import Product


@dataclass(frozen=True)
class Wanted:
    """The aspects that a query names; None where it names none. Prices are cents, both ends inclusive."""

    thing: str | None = None
    within: tuple[str, ...] | None = None
    brand: str | None = None
    quality: str | None = None
    colour: str | None = None
    low: int | None = None
    high: int | None = None
    cheap: bool = False
    number: int | None = None


@dataclass(frozen=True)
class Judged:
    """One query with its class."""

    kind: str
    typed: str
    wanted: Wanted


_KITCHEN, _LIVING, _WOMEN = ("Home", "Kitchen"), ("Home", "Living Room"), ("Fashion", "Women")
_QUERIES: dict[str, list[tuple[str, Wanted]]] = {
    "exact": [
        ("frying pan", Wanted("Frying Pan")),
        ("Espresso Machine", Wanted("Espresso Machine")),
        ("table lamp", Wanted("Table Lamp")),
        ("bike helmet", Wanted("Bike Helmet")),
        ("water bottle", Wanted("Water Bottle")),
        ("fountain pen", Wanted("Fountain Pen")),
        ("yoga mat", Wanted("Yoga Mat")),
        ("chef's knife", Wanted("Chef's Knife")),
        ("mechanical keyboard", Wanted("Mechanical Keyboard")),
        ("{sku}", Wanted(number=700)),
    ],
    "plural": [
        ("frying pans", Wanted("Frying Pan")),
        ("floor lamps", Wanted("Floor Lamp")),
        ("bread knives", Wanted("Bread Knife")),
        ("running shoe", Wanted("Running Shoes")),
        ("ankle boot", Wanted("Ankle Boots")),
        ("yoga mats", Wanted("Yoga Mat")),
        ("watering cans", Wanted("Watering Can")),
        ("sandal", Wanted("Sandals")),
        ("notebooks", Wanted("Notebook")),
        ("olive trees", Wanted("Olive Tree")),
        ("coffee grinders", Wanted("Coffee Grinder")),
    ],
    "typo": [
        ("esspresso machine", Wanted("Espresso Machine")),
        ("hedphones", Wanted("Headphones")),
        ("portable montior", Wanted("Portable Monitor")),
        ("runing shoes", Wanted("Running Shoes")),
        ("bakpack", Wanted("Backpack")),
        ("mechanical keybord", Wanted("Mechanical Keyboard")),
        ("saucepann", Wanted("Saucepan")),
        ("lavendar", Wanted("Lavender")),
        ("sneekers", Wanted("Sneakers")),
        ("cofee grindr", Wanted("Coffee Grinder")),
        ("sonroa speaker", Wanted("Speaker", brand="Sonora")),
    ],
    "accent": [
        ("creme brulee dish", Wanted("Crème Brûlée Dish")),
        ("weissbier glass", Wanted("Weißbier Glass")),
        ("WEIẞBIER GLASS", Wanted("Weißbier Glass")),
        ("soren glasses", Wanted(within=("Home", "Kitchen", "Glasses"), brand="Søren")),
        ("mate gourd", Wanted("Maté Gourd")),
        ("zoe dress", Wanted(within=("Fashion", "Women", "Dresses"), brand="Zoë")),
        ("muller carafe", Wanted("Rosé Carafe", brand="Müller")),
        ("gongfu teapot", Wanted("Gōngfu Teapot")),
        ("lame skirt", Wanted("Lamé Skirt")),
        ("cafe backpack", Wanted("Backpack", quality="Café")),
        ("strasser wrap dress", Wanted("Wrap Dress", brand="Straßer")),
    ],
    "phrase": [
        ("handmade bread knife", Wanted("Bread Knife", quality="Handmade")),
        ("lightweight rain jacket", Wanted("Rain Jacket", quality="Lightweight")),
        ("insulated water bottle", Wanted("Water Bottle", quality="Insulated")),
        ("foldable yoga mat", Wanted("Yoga Mat", quality="Foldable")),
        ("navy oxford shirt", Wanted("Oxford Shirt", colour="navy")),
        ("crimson tote bag", Wanted("Tote Bag", colour="crimson")),
        ("premium headphones black", Wanted("Headphones", quality="Premium", colour="black")),
        ("sky blue duvet cover", Wanted("Duvet Cover", colour="sky blue")),
        ("forest green hiking boots", Wanted("Hiking Boots", colour="forest green")),
        ("premium bike light", Wanted("Bike Light", quality="Premium")),
    ],
    "brand": [
        ("solinger", Wanted(brand="Solinger")),
        ("Lumen & Co", Wanted(brand="Lumen & Co")),
        ("sonora headphones", Wanted("Headphones", brand="Sonora")),
        ("strider running shoes", Wanted("Running Shoes", brand="Strider")),
        ("hestia casserole", Wanted("Casserole", brand="Hestia")),
        ("nordlys", Wanted(brand="Nordlys")),
        ("keyline monitor", Wanted("Monitor", brand="Keyline")),
        ("velo gloves", Wanted("Gloves", brand="Velo")),
        ("basecamp tent", Wanted("Tent", brand="Basecamp")),
    ],
    "category": [
        ("kitchen", Wanted(within=_KITCHEN)),
        ("living room", Wanted(within=_LIVING)),
        ("women shoes", Wanted(within=(*_WOMEN, "Shoes"))),
        ("men's shirts", Wanted(within=("Fashion", "Men", "Shirts"))),
        ("outdoor", Wanted(within=("Sports", "Outdoor"))),
        ("garden tools", Wanted(within=("Garden", "Tools"))),
        ("bed linen", Wanted(within=("Home", "Bedroom", "Bed Linen"))),
        ("cookware", Wanted(within=(*_KITCHEN, "Cookware"))),
        ("accessory bag", Wanted(within=("Fashion", "Accessories", "Bags"))),
    ],
    "price words": [
        ("floor lamp under 60", Wanted("Floor Lamp", high=5999)),
        ("headphones under 100 euro", Wanted("Headphones", high=9999)),
        ("notebook between 10 and 20 euro", Wanted("Notebook", low=1000, high=2000)),
        ("tent over 300", Wanted("Tent", low=30001)),
        ("backpack up to 80 euros", Wanted("Backpack", high=8000)),
        ("cheap headphones", Wanted("Headphones", cheap=True)),
        ("cheapest floor lamp", Wanted("Floor Lamp", cheap=True)),
        ("monitor below 300 €", Wanted("Monitor", high=29999)),
        ("fountain pen at least 50 euro", Wanted("Fountain Pen", low=5000)),
        ("sandals 50-90 euro", Wanted("Sandals", low=5000, high=9000)),
    ],
}


def queries(products: Sequence[Product]) -> list[Judged]:
    """All queries; the one for an SKU gets the SKU of its product."""
    skus = {product.number: product.sku for product in products}
    return [
        Judged(kind, typed.format(sku=skus.get(wanted.number or 0, "")), wanted)
        for kind, pairs in _QUERIES.items()
        for typed, wanted in pairs
    ]


def grades(wanted: Wanted, products: Sequence[Product]) -> dict[str, int]:
    """By id the grade of every product that has one above 0."""
    if wanted.number is not None:
        return {product.id: 3 for product in products if product.number == wanted.number}
    leaves = {product.path for product in products if product.thing == wanted.thing}
    graded = {product.id: _grade(wanted, product, leaves) for product in products}
    if wanted.cheap:
        best = sorted((product.cents, product.id) for product in products if graded[product.id] == 3)
        dear = {identifier for _, identifier in best[-(-len(best) // 4) :]}
        graded = {identifier: 1 if identifier in dear else grade for identifier, grade in graded.items()}
    return {identifier: grade for identifier, grade in graded.items() if grade}


def _grade(wanted: Wanted, product: Product, leaves: set[tuple[str, ...]]) -> int:
    holds = (
        wanted.brand in (None, product.brand)
        and wanted.quality in (None, product.quality)
        and wanted.colour in (None, product.attributes.get("colour"))
        and (wanted.low is None or product.cents >= wanted.low)
        and (wanted.high is None or product.cents <= wanted.high)
        and (wanted.within is None or product.path[: len(wanted.within)] == wanted.within)
    )
    if not holds:
        return 0
    if wanted.thing in (None, product.thing):
        return 3
    return 1 if product.path in leaves else 0
