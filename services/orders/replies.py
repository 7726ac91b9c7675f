"""The replies of `POST /orders` as they are sent, and stored for its repetitions."""

from collections.abc import Sequence

import orjson

from services.kit import log
from services.kit.idempotency import Reply, reply
from services.kit.problem import MEDIA_TYPE
from services.orders.repository import ItemRow, OrderRow
from services.orders.retries import Refusal, Refused
from services.orders.schemas import show


def confirmed(order: OrderRow, lines: Sequence[ItemRow]) -> Reply:
    """201: the order."""
    return reply(201, show(order, lines))


def refused(refusal: Refusal) -> Reply:
    """The problem that ended the order, as its first reply told it."""
    document = Refused(refusal).document(log.request_id.get())
    return Reply(refusal["status"], orjson.dumps(document, default=str), {"content-type": MEDIA_TYPE})
