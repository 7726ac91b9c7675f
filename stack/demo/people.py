"""Customers with plausible names, made the same for the same seed; e-mail addresses are in a reserved domain."""

import random
from collections.abc import Iterator
from typing import Any

_FIRST = (
    "Ada", "Björn", "Chiara", "Dmitri", "Élodie", "Farah", "Grace", "Hugo", "Ines", "Jonas",
    "Kenji", "Lena", "Mateo", "Noor", "Olu", "Petra", "Quinn", "Rosa", "Søren", "Tara",
)  # fmt: skip
_LAST = (
    "Andersson", "Bianchi", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Hoffmann", "Ivanova", "Jansen",
    "Kowalski", "Lindqvist", "Meyer", "Novak", "O'Brien", "Peeters", "Rossi", "Schmidt", "Tanaka", "Wójcik",
)  # fmt: skip
_STREETS = ("Lindenallee", "Rue du Moulin", "Via Roma", "Kerkstraat", "Calle Mayor", "Storgatan", "Mill Race Lane")
_CITIES = ("Lübeck", "Nantes", "Parma", "Utrecht", "Bilbao", "Malmö", "Gdańsk", "Graz", "Gent", "Århus")
_COUNTRIES = ("DE", "FR", "IT", "NL", "ES", "SE", "PL", "AT", "BE", "DK")


def customers(count: int, seed: int, tag: str) -> Iterator[dict[str, Any]]:
    """``count`` bodies for POST /users; ``tag`` keeps the addresses of separate runs apart."""
    chooser = random.Random(seed)
    for number in range(count):
        first, last = chooser.choice(_FIRST), chooser.choice(_LAST)
        yield {
            "email": f"customer-{tag}-{number}@shop.example",
            "full_name": f"{first} {last}",
            "country": chooser.choice(_COUNTRIES),
            "marketing_consent": chooser.random() < 0.4,
        }


def address(country: str, seed: str) -> dict[str, Any]:
    """A body for POST /users/{id}/addresses."""
    chooser = random.Random(seed)
    return {
        "kind": "shipping",
        "line1": f"{chooser.choice(_STREETS)} {chooser.randint(1, 180)}",
        "postal_code": f"{chooser.randint(10000, 99999)}",
        "city": chooser.choice(_CITIES),
        "country": country,
    }
