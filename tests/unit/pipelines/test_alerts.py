"""When an alert is told: once, when it grows, after a day, and when it is over; never lost, never told twice."""

import dagster as dg
import pytest

from pipelines.defs.alerts.looks import PAGES, failing_checks
from pipelines.lib.alerts import Alert, Event, Message, read, tell
from pipelines.lib.delivery import document, mail, routes
from pipelines.lib.instance import Judged
from pipelines.lib.manifest import PROJECT

DAY = 86_400.0
LATE = Alert(
    "check/fresh/raw", "data@millrace.example", "raw: not fresh: 1", "A copy waits.", "docs/pipelines.md#late", ("a",)
)


class Outbox:
    """Takes every message, or refuses all."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.away = False

    def __call__(self, message: Message) -> str | None:
        if self.away:
            return "away"
        self.taken.append(message)
        return None

    def events(self) -> list[Event]:
        return [message.event for message in self.taken]


def test_what_stays_wrong_is_told_once_a_day() -> None:
    outbox, cursor = Outbox(), None
    for hour in range(50):
        cursor, failed = tell(cursor, [LATE], hour * 3600.0, DAY, outbox)
        assert failed == []
    assert outbox.events() == [Event.OPENED, Event.STILL, Event.STILL]
    assert {message.since for message in outbox.taken} == {0.0}


def test_what_grows_is_told_and_what_shrinks_is_not() -> None:
    outbox = Outbox()
    grown = Alert(**{**vars(LATE), "findings": ("a", "b")})
    cursor, _ = tell(None, [LATE], 0.0, DAY, outbox)
    cursor, _ = tell(cursor, [grown], 60.0, DAY, outbox)
    cursor, _ = tell(cursor, [LATE], 120.0, DAY, outbox)
    assert outbox.events() == [Event.OPENED, Event.GREW]


def test_what_is_over_is_told_and_forgotten() -> None:
    outbox = Outbox()
    cursor, _ = tell(None, [LATE], 0.0, DAY, outbox)
    cursor, _ = tell(cursor, [], 60.0, DAY, outbox)
    assert outbox.events() == [Event.OPENED, Event.OVER]
    assert read(cursor) == {}
    cursor, _ = tell(cursor, [LATE], 120.0, DAY, outbox)
    assert outbox.taken[-1].since == 120.0


def test_what_was_not_delivered_is_due_again() -> None:
    outbox = Outbox()
    outbox.away = True
    cursor, failed = tell(None, [LATE], 0.0, DAY, outbox)
    assert failed == ["check/fresh/raw: away"] and read(cursor) == {}
    outbox.away = False
    cursor, _ = tell(cursor, [LATE], 60.0, DAY, outbox)
    outbox.away = True
    cursor, failed = tell(cursor, [], 120.0, DAY, outbox)
    assert failed and set(read(cursor)) == {LATE.key}
    outbox.away = False
    tell(cursor, [], 180.0, DAY, outbox)
    assert outbox.events() == [Event.OPENED, Event.OVER]


def test_a_message_says_what_whom_and_what_to_do() -> None:
    message = Message(Event.OPENED, LATE, 0.0)
    made = mail(message)
    assert made["To"] == "data@millrace.example" and made["Subject"] == "[opened] raw: not fresh: 1"
    assert "docs/pipelines.md#late" in made.get_content() and "1970-01-01 00:00:00 UTC" in made.get_content()
    assert document(message)["runbook"] == "docs/pipelines.md#late"
    over = Message(Event.OVER, LATE, 0.0)
    assert "what to do" not in mail(over).get_content()
    assert mail(over)["References"] == made["References"]


def judged(asset: str, name: str, holds: bool = False) -> Judged:
    return Judged(dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name), holds)


def test_checks_that_fail_together_are_one_alert_for_each_owner() -> None:
    owners = {dg.AssetKey(["analytics", "fct_orders"]): ["sales@millrace.example"]}
    found = list(
        failing_checks(
            [
                judged("raw_orders/orders", "fresh"),
                judged("raw_orders/order_items", "fresh"),
                judged("raw_orders/orders", "equals_postgres"),
                judged("analytics/fct_orders", "orders_add_up"),
                judged("analytics/fct_payments", "fresh", holds=True),
            ],
            owners,
            "rest@millrace.example",
        )
    )
    assert {(alert.key, alert.owner, alert.findings) for alert in found} == {
        (
            "check/dbt/analytics/sales@millrace.example",
            "sales@millrace.example",
            ("analytics/fct_orders: orders_add_up",),
        ),
        (
            "check/fresh/raw_orders/rest@millrace.example",
            "rest@millrace.example",
            ("raw_orders/order_items", "raw_orders/orders"),
        ),
        (
            "check/equals_postgres/raw_orders/rest@millrace.example",
            "rest@millrace.example",
            ("raw_orders/orders",),
        ),
    }


def test_a_webhook_of_the_owner_is_used_before_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALERT_WEBHOOK_URL", "PLATFORM_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    assert routes().webhook("sales@millrace.example") is None
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "http://all")
    assert routes().webhook(routes().otherwise) == "http://all"
    monkeypatch.setenv("PLATFORM_WEBHOOK_URL", "http://platform")
    assert routes().webhook(routes().otherwise) == "http://platform"
    assert routes().webhook("sales@millrace.example") == "http://all"


def anchors(page: str) -> set[str]:
    """Anchors of the headings of a page below docs/."""
    lines = (PROJECT.parent / page).read_text().splitlines()
    heads = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {"".join(each for each in head if each.isalnum() or each in " -_").replace(" ", "-") for head in heads}


def test_every_alert_leads_to_a_place_that_exists() -> None:
    from pipelines.defs.alerts import looks

    places = [*PAGES.values(), looks.OF_DBT, looks.DIED[1], *(page for _, page in looks.KINDS.values())]
    there = anchors("docs/pipelines.md")
    assert [place for place in places if place.partition("#")[2] not in there] == []
