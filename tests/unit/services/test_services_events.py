"""What services tell others: typed, described by the checked-in documents, exact, and nothing about who a person is."""

import importlib
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.kit import outbox
from services.kit.event_schemas import PUBLISHERS, SERVICES, document, events
from services.kit.events import Event
from services.payments.events import PaymentCaptured
from services.products.events import PriceChanged

# Whatever else an event says needs a second look: is it about a person?
HARMLESS = {
    *("user_id", "order_id", "product_id", "payment_id", "refund_id", "category_id", "group_id"),
    *("members", "before", "after", "sold", "confirmed", "reason", "failure_code"),
    *("sku", "name", "lines", "quantity", "stock", "currency"),
    *("amount", "compare_at", "refunded", "unit_price", "subtotal", "discount", "tax", "shipping", "total"),
}
ID = UUID("01920000-0000-7000-8000-000000000001")


@pytest.mark.parametrize("name", PUBLISHERS)
def test_the_document_is_up_to_date(name: str) -> None:
    assert (SERVICES / name / "events.json").read_text(encoding="utf-8") == document(name)


@pytest.mark.parametrize("name", PUBLISHERS)
def test_no_event_of_the_module_is_left_out(name: str) -> None:
    module = importlib.import_module(f"services.{name}.events")
    abstract = {base for kind in events(name) for base in kind.__mro__[1:]}
    found = {kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert found - abstract == set(events(name))


def test_a_type_means_one_event() -> None:
    kinds = [(kind.aggregate, kind.type()) for name in PUBLISHERS for kind in events(name)]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", PUBLISHERS)
def test_an_event_says_nothing_about_who_a_person_is(name: str) -> None:
    definitions = json.loads(document(name))["$defs"]
    said = {member for shape in definitions.values() for member in shape.get("properties", {})}
    assert said <= HARMLESS


def test_money_is_text_with_two_decimals() -> None:
    said = PriceChanged(product_id=ID, amount=Decimal("12.5"), currency="EUR", compare_at=Decimal(13))
    assert said.data() == {"product_id": str(ID), "amount": "12.50", "currency": "EUR", "compare_at": "13.00"}


def test_a_message_holds_all_that_its_document_requires() -> None:
    event = PaymentCaptured(payment_id=ID, order_id=ID, amount=Decimal("1.00"), currency="EUR")
    message: dict[str, Any] = json.loads(outbox.message(event))
    described = {each["title"]: each for each in json.loads(document("payments"))["oneOf"]}
    assert set(message) == set(described["PaymentCaptured.v1 in events.payments"]["required"])
    assert (message["aggregate"], message["key"], message["type"]) == ("payments", str(ID), "PaymentCaptured.v1")
