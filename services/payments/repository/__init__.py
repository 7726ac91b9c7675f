"""The SQL of payments: each step with its transfers in one transaction, and each once, by the status it starts from."""

from services.payments.repository.finding import find, find_of_order, find_refund, of_orders, refund_ids
from services.payments.repository.opening import Opened, close, closed, open_payment
from services.payments.repository.refunds import Beside, give_back_unowed, refund
from services.payments.repository.rows import PaymentRow, RefundRow
from services.payments.repository.steps import authorise, capture, decline, void

__all__ = [
    "Beside",
    "Opened",
    "PaymentRow",
    "RefundRow",
    "authorise",
    "capture",
    "close",
    "closed",
    "decline",
    "find",
    "find_of_order",
    "find_refund",
    "give_back_unowed",
    "of_orders",
    "open_payment",
    "refund",
    "refund_ids",
    "void",
]
