"""The confirmation of an order: both parts say the same, nothing of a customer's or a product's name becomes markup."""

from dataclasses import replace
from decimal import Decimal

from services.orders.confirmation import confirmation
from services.orders.partners import Contact
from tests.unit.services.test_orders_order import COMMANDS, ORDER, carry_out


def test_both_parts_have_lines_and_sums() -> None:
    order, _ = carry_out(*COMMANDS[:4])
    message = confirmation(order, Contact("ada@example.org", "Ada Example"))
    assert str(message["To"]) == "Ada Example <ada@example.org>"
    assert message["Message-ID"] == f"<{ORDER}.confirmation@millrace.example>"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for part in message.iter_parts():
        content = part.get_content()
        for text in ("Bread knife", "12.50 EUR", "25.00 EUR", "4.90 EUR", "29.90 EUR", str(ORDER)):
            assert text in content
        assert "Discount" not in content


def test_a_discount_is_named_and_subtracted() -> None:
    order = replace(carry_out(*COMMANDS[:4])[0], discount=Decimal("5.00"))
    for part in confirmation(order, Contact("ada@example.org", "Ada")).iter_parts():
        assert "-5.00 EUR" in part.get_content() and "24.90 EUR" in part.get_content()


def test_names_cannot_add_markup_or_headers() -> None:
    order, _ = carry_out(*COMMANDS[:4])
    line = replace(order.lines[0], name="<b>Knife</b> & fork")
    message = confirmation(replace(order, lines=(line,)), Contact("ada@example.org", "Ada\r\nBcc: eve@example.org <i>"))
    assert message["Bcc"] is None
    html = list(message.iter_parts())[1].get_content()
    assert "<b>" not in html and "&lt;b&gt;Knife&lt;/b&gt; &amp; fork" in html and "<i>" not in html
