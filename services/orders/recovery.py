"""Finishing orders that were left PENDING because their process died or an undo could not be done.

Always backwards: release, void, FAILED. An order is abandoned when it has been PENDING for much longer than placing may
take; should its request be alive after all, its last step finds the order no longer PENDING and undoes itself.
"""

import asyncio
import logging

from services.kit.db import Primary
from services.orders import repository
from services.orders.partners import Partners
from services.orders.placing import DEADLINE_S

ABANDONED_AFTER_S = 2 * DEADLINE_S
_LOOK_EVERY_S = 15.0
_AT_ONCE = 100

logger = logging.getLogger(__name__)


async def recover(primary: Primary, partners: Partners, abandoned_after_s: float = ABANDONED_AFTER_S) -> int:
    """Undo and fail every abandoned order; how many. One that cannot be undone now stays for next time."""
    finished = 0
    for order in await repository.pending_for(primary, abandoned_after_s, _AT_ONCE):
        try:
            await partners.void(order.id, "order abandoned")
            await partners.release(order.id)
            await repository.fail(primary, order.id, "abandoned: placing it was interrupted")
        except Exception:
            logger.exception("order %s cannot be undone yet", order.id)
        else:
            finished += 1
    return finished


async def keep_recovering(primary: Primary, partners: Partners) -> None:
    """Recover again and again until cancelled."""
    while True:
        try:
            if finished := await recover(primary, partners):
                logger.warning("%d abandoned orders were undone", finished)
        except Exception:
            logger.exception("abandoned orders could not be looked for")
        await asyncio.sleep(_LOOK_EVERY_S)
