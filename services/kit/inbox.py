"""What a consumer has taken in already: an event comes at least once, its effect happens once.

The table is one of those that every service's database has. The row is written in the transaction of the effect. A second
delivery waits for the first one's end: it finds the row, or the first was rolled back and the effect is its own.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.kit.db import Primary, Transaction

_SWEEP_ROWS = 5000


@dataclass(frozen=True, slots=True)
class _Taken:
    event_id: UUID


async def first_time(transaction: Transaction, consumer: str, event_id: UUID) -> bool:
    """Whether this consumer has not taken the event in yet; from now on, with this transaction, it has."""
    return None is not await transaction.one(
        _Taken,
        """INSERT INTO service.inbox (consumer, event_id) VALUES (%s, %s)
           ON CONFLICT (consumer, event_id) DO NOTHING RETURNING event_id""",
        [consumer, event_id],
    )


async def sweep(primary: Primary, kept: timedelta) -> int:
    """Forget what came longer ago than that, some thousands at most; how many. `kept` is longer than any topic keeps an
    event: one that is forgotten here can come no more."""
    gone = await primary.all(
        _Taken,
        """DELETE FROM service.inbox WHERE (consumer, event_id) IN (
               SELECT consumer, event_id FROM service.inbox WHERE received_at < now() - %s
               ORDER BY received_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING event_id""",
        [kept, _SWEEP_ROWS],
    )
    return len(gone)
