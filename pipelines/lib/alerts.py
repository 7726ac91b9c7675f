"""Alerts: what is wrong now, told to its owner once, again after a day, and once more when it is over.

An alert has a key that stays the same while the same thing is wrong; its findings may grow, and then it is told anew. What
was told is kept in the cursor of the sensor that looks, so a message whose delivery failed is tried at the next look, and
nobody is told twice because the daemon was started again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Event(StrEnum):
    """Why a message is sent."""

    OPENED = "opened"
    GREW = "grew"
    STILL = "still open"
    OVER = "over"


@dataclass(frozen=True)
class Alert:
    """Something that a person should look at. `page` is the place in docs/ that says what to do."""

    key: str
    owner: str
    what: str
    means: str
    page: str
    findings: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class Open:
    """An alert that was told, and when it was told last (seconds since 1970)."""

    alert: Alert
    since: float
    told: float


@dataclass(frozen=True)
class Message:
    """One alert to be delivered, and why."""

    event: Event
    alert: Alert
    since: float


def due(
    opened: Mapping[str, Open], current: Iterable[Alert], now: float, repeat_after: float
) -> list[tuple[Message, Open | None]]:
    """Messages to be sent, each with what is remembered once it was: None when the alert is over.

    `repeat_after`: seconds after which what is still wrong is told again.
    """
    found = {alert.key: alert for alert in current}
    messages: list[tuple[Message, Open | None]] = []
    for key, alert in found.items():
        known = opened.get(key)
        since = known.since if known else now
        if known is None:
            event = Event.OPENED
        elif set(alert.findings) - set(known.alert.findings):
            event = Event.GREW
        elif now - known.told >= repeat_after:
            event = Event.STILL
        else:
            continue
        messages.append((Message(event, alert, since), Open(alert, since, now)))
    over = [opened[key] for key in opened.keys() - found.keys()]
    return messages + [(Message(Event.OVER, each.alert, each.since), None) for each in over]


def tell(
    cursor: str | None,
    current: Iterable[Alert],
    now: float,
    repeat_after: float,
    deliver: Callable[[Message], str | None],
) -> tuple[str, list[str]]:
    """Deliver what is due. The new cursor, and what could not be delivered: that is due again at the next look.

    `deliver` returns None, or why it could not.
    """
    opened = read(cursor)
    failed = []
    for message, remembered in due(opened, current, now, repeat_after):
        if problem := deliver(message):
            failed.append(f"{message.alert.key}: {problem}")
        elif remembered is None:
            del opened[message.alert.key]
        else:
            opened[message.alert.key] = remembered
    return written(opened), failed


def read(cursor: str | None) -> dict[str, Open]:
    """What a cursor holds."""
    found = {}
    for key, kept in json.loads(cursor or "{}").items():
        alert = Alert(**kept["alert"])
        found[key] = Open(replace(alert, findings=tuple(alert.findings)), kept["since"], kept["told"])
    return found


def written(opened: Mapping[str, Open]) -> str:
    """The cursor of what is open."""
    return json.dumps({key: asdict(each) for key, each in sorted(opened.items())})
