"""Pieces that come in, corrections after counting, and the movements that every stock row is the sum of.

Every change of a stock row writes its movement in the same statement; movements are never changed or deleted. Refuses a
correction below what is available: what is held or sold cannot be counted away.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from services.kit import outbox
from services.kit.db import Primary, Replica, Transaction
from services.kit.problem import Conflict
from services.products.events import GoodsReceived, ProductEvent, StockCorrected
from services.products.repository import Touched, unknown_product

MAX_PIECES = 1_000_000_000
"""Of one product on the shelves: far below what the column holds, so that no sum of stock overflows."""


class CorrectionRefused(Conflict):
    slug = "correction-refused"


class TooManyPieces(Conflict):
    slug = "too-many-pieces"


@dataclass(frozen=True, slots=True)
class MovementRow:
    id: int
    product_id: UUID
    kind: str
    quantity: int
    order_id: UUID | None
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _Level:
    available: int


_CHANGE: LiteralString = """
    WITH changed AS (
        UPDATE stock SET available = available + %(delta)s, updated_at = now()
        WHERE product_id = %(product_id)s AND available + %(delta)s BETWEEN 0 AND %(most)s RETURNING product_id),
    moved AS (
        INSERT INTO stock_movements (product_id, kind, quantity, reason)
        SELECT product_id, %(kind)s, %(delta)s, %(reason)s FROM changed RETURNING product_id)
    SELECT product_id AS id FROM moved WHERE pg_logical_emit_message(true, %(prefix)s, %(message)s) IS NOT NULL"""


async def receive(source: Primary | Transaction, product_id: UUID, pieces: int) -> None:
    """Goods came in. Raises NotFound, or TooManyPieces when there is no room for so many."""
    told = GoodsReceived(product_id=product_id, quantity=pieces)
    if not await _change(source, told, "received", pieces, None):
        raise TooManyPieces(f"no product may have more than {MAX_PIECES} pieces")


async def adjust(source: Primary | Transaction, product_id: UUID, pieces: int, reason: str) -> None:
    """Correct what is available: fewer (negative) were lost or broken, more were found. Raises NotFound."""
    told = StockCorrected(product_id=product_id, quantity=pieces)
    if await _change(source, told, "adjusted", pieces, reason):
        return
    if pieces > 0:
        raise TooManyPieces(f"no product may have more than {MAX_PIECES} pieces")
    raise CorrectionRefused(f"fewer than {-pieces} pieces are available; held and sold ones cannot be taken away")


async def _change(source: Primary | Transaction, told: ProductEvent, kind: str, delta: int, reason: str | None) -> bool:
    values = {"product_id": told.product_id, "kind": kind, "delta": delta, "reason": reason, "most": MAX_PIECES}
    told_as = {"prefix": outbox.PREFIX, "message": outbox.message(told)}
    if await source.one(Touched, _CHANGE, values | told_as):
        return True
    if await source.one(_Level, "SELECT available FROM stock WHERE product_id = %s", [told.product_id]) is None:
        raise unknown_product(told.product_id)
    return False


async def movements(replica: Replica, product_id: UUID, after: int, limit: int) -> list[MovementRow]:
    """Movements of the product, oldest first."""
    return await replica.all(
        MovementRow,
        "SELECT * FROM stock_movements WHERE product_id = %s AND id > %s ORDER BY id LIMIT %s",
        [product_id, after, limit],
    )
