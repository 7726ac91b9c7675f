"""The e-mail that confirms an order: its lines and sums as text and as HTML. Pure: makes the message, sends nothing.

Its Message-ID follows from the order's id, so a message that is sent again is known to be the same one.
"""

from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTPUTF8
from html import escape

from services.orders.order import Order
from services.orders.partners import Contact

SENDER = Address("Millrace", "orders", "millrace.example")


def confirmation(order: Order, contact: Contact) -> EmailMessage:
    """The message to the order's customer."""
    message = EmailMessage(policy=SMTPUTF8)
    message["From"] = SENDER
    message["To"] = Address(_one_line(contact.full_name), addr_spec=contact.email)
    message["Subject"] = f"Your order {order.id}"
    message["Message-ID"] = f"<{order.id}.confirmation@{SENDER.domain}>"
    message["Date"] = order.placed_at
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(order, contact))
    message.add_alternative(_html(order, contact), subtype="html")
    return message


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _money(amount: Decimal, order: Order) -> str:
    return f"{amount:.2f} {order.currency}"


def _sums(order: Order) -> list[tuple[str, str]]:
    """What is added up, as (name, amount); a discount or a tax of nothing is not mentioned."""
    parts = [("Subtotal", order.subtotal, True), ("Discount", -order.discount, bool(order.discount))]
    parts += [("Tax", order.tax, bool(order.tax)), ("Shipping", order.shipping, True), ("Total", order.total, True)]
    return [(name, _money(amount, order)) for name, amount, shown in parts if shown]


def _text(order: Order, contact: Contact) -> str:
    lines = [
        f"{line.quantity} x {line.name} ({line.sku}), {_money(line.unit_price, order)} each: "
        f"{_money(line.unit_price * line.quantity, order)}"
        for line in order.lines
    ]
    sums = [f"{name}: {amount}" for name, amount in _sums(order)]
    return "\n".join(
        [
            f"Hello {_one_line(contact.full_name)},",
            "",
            f"thank you for your order {order.id} of {order.placed_at:%d %B %Y}. It is confirmed and paid.",
            "",
            *lines,
            "",
            *sums,
            "",
        ]
    )


def _html(order: Order, contact: Contact) -> str:
    rows = "".join(
        f"<tr><td>{line.quantity}</td><td>{escape(line.name)} ({escape(line.sku)})</td>"
        f"<td>{_money(line.unit_price, order)}</td><td>{_money(line.unit_price * line.quantity, order)}</td></tr>"
        for line in order.lines
    )
    sums = "".join(f'<tr><th colspan="3">{name}</th><td>{amount}</td></tr>' for name, amount in _sums(order))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your order {order.id}</title></head><body>'
        f"<p>Hello {escape(_one_line(contact.full_name))},</p>"
        f"<p>thank you for your order {order.id} of {order.placed_at:%d %B %Y}. It is confirmed and paid.</p>"
        "<table><thead><tr><th>Quantity</th><th>Product</th><th>Price</th><th>Amount</th></tr></thead>"
        f"<tbody>{rows}</tbody><tfoot>{sums}</tfoot></table></body></html>\n"
    )
