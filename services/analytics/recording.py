"""Events as they are recorded: each with an id, a time and a user that the server stands for."""

from datetime import UTC, datetime
from uuid import UUID

import orjson

from services.analytics.events import EventBatch, happened_at
from services.analytics.recorder import Recorder
from services.kit.auth import Forbidden
from services.kit.ids import uuid7
from services.kit.principal import Principal, Role
from services.kit.problem import RuleBroken


def record_of(batch: EventBatch, received_at: datetime) -> tuple[list[str], bytes]:
    """The events' ids, and the record that holds the batch. Raises RuleBroken for a time out of bounds."""
    ids: list[str] = []
    events = []
    for number, event in enumerate(batch.events):
        at = happened_at(event.at, batch.sent_at, received_at)
        if at is None:
            raise RuleBroken(
                f"body.events.{number}.at: not within 7 days before and 5 minutes after now; "
                "give the sender's clock as sent_at when it is wrong"
            )
        ids.append(str(event.event_id or uuid7()))
        told = event.model_dump(mode="json", exclude_none=True, exclude={"event_id", "at"})
        events.append({"event_id": ids[-1], "at": at.astimezone(UTC).isoformat(timespec="milliseconds"), **told})
    received = received_at.astimezone(UTC).isoformat(timespec="microseconds")
    return ids, orjson.dumps({"received_at": received, "events": events})


def of_caller(batch: EventBatch, caller: Principal | None) -> EventBatch:
    """The batch with the user whose token it came with. Raises Forbidden where it names somebody else.

    A shop front with an operator's token tells for all of its visitors.
    """
    if caller is not None and caller.has(Role.OPERATOR, Role.ADMIN):
        return batch
    own = UUID(caller.subject) if caller is not None and caller.kind == "user" else None
    for number, event in enumerate(batch.events):
        if event.user_id not in (None, own):
            raise Forbidden(f"body.events.{number}.user_id: needs a token of this user, or one of an operator")
    events = [event.model_copy(update={"user_id": own}) for event in batch.events]
    return batch.model_copy(update={"events": events})


async def record(recorder: Recorder, batch: EventBatch) -> list[str]:
    """Return the events' ids once Kafka has them all; raises EventsUnavailable when it does not take them."""
    ids, value = record_of(batch, datetime.now(UTC))
    await recorder.record(batch.events[0].session.encode(), value)
    return ids
