"""What the order saga does, step by step, without any engine: each can be repeated and is known by the order's id.

A step before the pivot answers None, or the refusal that ends the order; it waits out what is only away for a moment,
until the order's deadline. Undo steps and the steps after the pivot are tried for ever. A step that was interrupted is
run again from its beginning, so each is safe to run twice and every undo is safe where nothing was done.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from services.kit import idempotency
from services.kit.client import CallRefused
from services.kit.db import Primary
from services.kit.mail import Mailer, MailRefused
from services.kit.problem import NotFound, Unavailable, from_exception
from services.orders import repository
from services.orders.confirmation import confirmation
from services.orders.eventstore import EventStore
from services.orders.order import (
    BeginCapture,
    Cancel,
    Command,
    Confirm,
    Fail,
    NotCancellable,
    Order,
    Place,
    RequestCancellation,
    Reserve,
)
from services.orders.partners import Partners, PaymentClosed, PaymentDeclined
from services.orders.replies import confirmed, refused
from services.orders.retries import Refusal, for_ever, patiently, refusal_of
from services.orders.stream import Line, OrderPlaced, StockReserved
from services.orders.totals import totals

# Until the products have told theirs; a FAILED order may keep it.
_CURRENCY = "EUR"

logger = logging.getLogger(__name__)


class OrderTimeout(Unavailable):
    slug = "order-timeout"


class _StillPending(Unavailable):
    pass


# What ends a step that is otherwise tried for ever: an answer that no repetition changes.
_FINAL_CAPTURE = (PaymentClosed, PaymentDeclined, CallRefused)
_FINAL_REQUEST = (NotCancellable, NotFound)


@dataclass(frozen=True, slots=True)
class Placement:
    """All that a saga needs to know; stored by the engine as JSON. `deadline` is seconds since the epoch.

    `key` is what the reply is stored under; members that are added need a default, for sagas that are under way.
    """

    order_id: UUID
    user_id: UUID
    wanted: dict[UUID, int]
    method: str
    token: str
    deadline: float
    key: idempotency.Key | None = None


PLACEMENT = TypeAdapter(Placement)


class Steps:
    def __init__(self, primary: Primary, store: EventStore, partners: Partners, mailer: Mailer) -> None:
        self._primary = primary
        self._store = store
        self._partners = partners
        self._mailer = mailer

    # Before the pivot.

    async def place(self, given: Placement) -> Refusal | None:
        """The PENDING order, and with it the key of its request: there is neither without the other."""
        placed = OrderPlaced(given.user_id, _CURRENCY, given.method)

        async def work() -> None:
            await repository.execute(self._primary, self._store, given.order_id, Place(placed), given.key)

        return await self._forward(given, work)

    async def reserve(self, given: Placement) -> Refusal | None:
        """Hold the stock; note lines and sums."""

        async def work() -> None:
            held = await self._partners.reserve(given.order_id, given.wanted)
            sums = totals([(line.unit_price, line.quantity, line.currency) for line in held])
            lines = tuple(
                Line(UUID(line.product_id), line.sku, line.name, line.quantity, line.unit_price) for line in held
            )
            reserved = StockReserved(lines, sums.currency, sums.subtotal, sums.discount, sums.tax, sums.shipping)
            await self._execute(given.order_id, Reserve(reserved))

        return await self._forward(given, work)

    async def authorise(self, given: Placement) -> Refusal | None:
        """Have the total set aside; an answer that was lost is asked for again by the order's id."""

        async def work() -> None:
            order = await self._order(given.order_id)
            await self._partners.authorise(given.order_id, order.total, order.currency, given.method, given.token)

        return await self._forward(given, work)

    async def commit(self, given: Placement) -> Refusal | None:
        """Make the hold the order's before any money is taken: from now on it does not expire."""
        return await self._forward(given, lambda: self._partners.commit(given.order_id))

    # The pivot.

    async def capture(self, given: Placement) -> Refusal | None:
        """Take the money. Once it is begun there is no deadline and no cancellation, only an answer."""
        order = await for_ever("reading an order", lambda: self._order(given.order_id))
        if not order.capturing:
            refusal = await self._forward(given, lambda: self._execute(given.order_id, BeginCapture()))
            if refusal is not None:
                return refusal
        try:
            await for_ever("capture", lambda: self._partners.capture(given.order_id), _FINAL_CAPTURE)
        except _FINAL_CAPTURE as refused:
            return refusal_of(refused, given.order_id)
        return None

    # After the pivot.

    async def confirm(self, given: Placement) -> None:
        await for_ever("confirming", lambda: self._execute(given.order_id, Confirm()))

    async def notify(self, given: Placement) -> str:
        """Send the confirmation, at least once: sent, refused (for good, by the mail server) or nobody (user gone)."""

        async def work() -> str:
            contact = await self._partners.contact(given.user_id)
            if contact is None:
                return "nobody"
            await self._mailer.send(confirmation(await self._order(given.order_id), contact))
            return "sent"

        try:
            return await for_ever("the confirmation", work, final=(MailRefused,))
        except MailRefused as error:
            logger.warning("the confirmation of order %s was not sent: %s", given.order_id, error)
            return "refused"

    # Undoing.

    async def void(self, order_id: UUID, reason: str) -> None:
        await for_ever("void", lambda: self._partners.void(order_id, reason))

    async def release(self, order_id: UUID) -> None:
        await for_ever("release", lambda: self._partners.release(order_id))

    async def fail(self, order_id: UUID, reason: str) -> None:
        """FAILED, or CANCELLED where that was asked for; nothing where not even the order was written."""

        async def work() -> None:
            try:
                await self._execute(order_id, Fail(reason))
            except NotFound:
                logger.warning("order %s ended before it was written: %s", order_id, reason)

        await for_ever("failing", work)

    # Ending.

    async def settle(self, given: Placement, refusal: Refusal | None) -> None:
        """Store the reply under the request's key. A trouble of ours is no outcome: the key is given back."""

        async def work() -> None:
            order = await repository.find(self._primary, given.order_id)
            if given.key is None or order is None:  # the key is another order's
                return
            if refusal is not None and refusal["status"] >= 500:
                await idempotency.forget(self._primary, given.key, order.updated_at)
            else:
                lines = await repository.items(self._primary, [order.id])
                made = confirmed(order, lines) if refusal is None else refused(refusal)
                await idempotency.settle(self._primary, given.key, made)

        await for_ever("storing the reply", work)

    # Cancelling.

    async def request_cancellation(self, order_id: UUID) -> Refusal | None:
        try:
            await for_ever(
                "requesting a cancellation", lambda: self._execute(order_id, RequestCancellation()), _FINAL_REQUEST
            )
        except _FINAL_REQUEST as refused:
            return refusal_of(refused, order_id)
        return None

    async def settled(self, order_id: UUID) -> str:
        """The order's status once its placing has ended."""

        async def work() -> str:
            order = await self._order(order_id)
            if order.status == "PENDING":
                raise _StillPending(f"order {order_id} is still being placed")
            return order.status

        return await for_ever("cancelling", work)

    async def cancel(self, order_id: UUID) -> None:
        await for_ever("cancelling", lambda: self._execute(order_id, Cancel()))

    async def _order(self, order_id: UUID) -> Order:
        if (order := await repository.read(self._primary, self._store, order_id)) is None:
            raise NotFound(f"there is no order {order_id}")
        return order

    async def _execute(self, order_id: UUID, command: Command) -> None:
        await repository.execute(self._primary, self._store, order_id, command)

    async def _forward(self, given: Placement, work: Callable[[], Awaitable[None]]) -> Refusal | None:
        if time.time() > given.deadline:
            return refusal_of(OrderTimeout("placing the order took too long; place it again"), given.order_id)
        try:
            await patiently(work, given.deadline)
        except Exception as error:
            problem = from_exception(error)
            if problem.status == 500:
                logger.exception("order %s is undone because of a fault of ours", given.order_id)
            return refusal_of(problem, given.order_id)
        return None
