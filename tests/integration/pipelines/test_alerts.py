"""Alerts as they arrive: one mail and one call of a webhook when something breaks, none while it stays broken, one when it is over."""

import json
import mailbox
import threading
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from pipelines.defs.alerts import sensors
from pipelines.lib.delivery import routes
from tests.conftest import Stack
from tests.integration.pipelines.location import Location, settings

FAILED = "job observe_lag failed"


class Webhook:
    """A server that keeps what is posted to it, or refuses it."""

    def __init__(self) -> None:
        kept: list[dict[str, Any]] = []
        self.kept, self.status = kept, 204
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status < 300:
                    kept.append(json.loads(body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing is printed."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def about(self, what: str) -> list[str]:
        """Events of the alerts that say so."""
        return [str(each["event"]) for each in self.kept if what in str(each["what"])]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    with settings({"PLATFORM_WEBHOOK_URL": hook.url}):
        yield hook
    hook.close()


def look(location: Location, sensor: dg.SensorDefinition, cursor: str | None) -> str | None:
    """One tick; the cursor that the next one gets."""
    from pipelines.definitions import defs

    with dg.build_sensor_context(
        instance=location.instance, cursor=cursor, repository_def=defs.get_repository_def()
    ) as context:
        sensor.evaluate_tick(context)
        return context.cursor


def mails(stack: Stack, what: str) -> list[Message]:
    kept = mailbox.Maildir(Path(stack.env["MILLRACE_HOME"]) / "mail")
    return [mail for mail in kept if what in str(mail["Subject"]).replace("\n", "")]


def fail(location: Location) -> dg.ExecuteInProcessResult:
    with settings({"CLICKHOUSE_DBT_PASSWORD": "wrong"}):
        run = location.run("observe_lag")
    assert not run.success
    return run


def test_a_failed_run_is_told_once_by_mail_and_webhook_and_once_more_when_it_is_over(
    location: Location, stack: Stack, webhook: Webhook
) -> None:
    before = len(mails(stack, FAILED))
    run = fail(location)
    cursor = look(location, sensors.failed_runs, None)
    fail(location)
    cursor = look(location, sensors.failed_runs, cursor)
    assert webhook.about(FAILED) == ["opened"]
    (told,) = [each for each in webhook.kept if FAILED in each["what"]]
    assert told["what"].endswith("wrong definition") and run.run_id in told["link"]
    assert told["runbook"] == "docs/pipelines.md#wrong-definition"

    assert location.run("observe_lag").success
    look(location, sensors.failed_runs, cursor)
    assert webhook.about(FAILED) == ["opened", "over"]
    arrived = mails(stack, FAILED)
    assert len(arrived) == before + 2
    assert {mail["X-RcptTo"] for mail in arrived} == {routes().otherwise}


def test_what_could_not_be_delivered_is_told_at_the_next_look(location: Location, webhook: Webhook) -> None:
    fail(location)
    webhook.status = 503
    cursor = look(location, sensors.failed_runs, None)
    assert webhook.kept == []
    webhook.status = 204
    look(location, sensors.failed_runs, cursor)
    assert webhook.about(FAILED) == ["opened"]
    assert location.run("observe_lag").success


@pytest.mark.usefixtures("engine")
def test_open_dead_letters_are_told_until_they_are_resolved(location: Location, stack: Stack, webhook: Webhook) -> None:
    what = "users.public.addresses: 1 changes are parked"
    with psycopg.connect(stack.env["MILLRACE_STATE_DSN"], autocommit=True) as state:
        state.execute(
            """INSERT INTO millrace.dead_letters (target, source, name, key, version, moved, body, reason, place)
               VALUES ('clickhouse', 'users', 'public.addresses', '{"id": "none"}', 1, false, '{}', 'a test', 'nowhere')"""
        )
        try:
            cursor = look(location, sensors.engine_problems, None)
            cursor = look(location, sensors.engine_problems, cursor)
            assert webhook.about(what) == ["opened"]
            told = next(each for each in webhook.kept if each["what"] == what)
            assert told["runbook"] == "docs/runbooks/cdc.md#changes-are-parked"
            assert "millrace cdc deadletters list" in told["means"]
        finally:
            state.execute("DELETE FROM millrace.dead_letters WHERE place = 'nowhere'")
    look(location, sensors.engine_problems, cursor)
    assert webhook.about(what) == ["opened", "over"]


@pytest.mark.usefixtures("engine")
def test_an_engine_that_is_away_is_told_and_ends_no_other_alert(
    location: Location, stack: Stack, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cdc.settings import settings as engine_settings

    known = "users.public.users is not followed"
    alert = {"owner": routes().otherwise, "what": known, "means": "", "page": "", "findings": [], "link": ""}
    key = "engine/a-table-is-not-followed/users.public.users"
    cursor: str | None = json.dumps({key: {"alert": alert | {"key": key}, "since": 0.0, "told": 4e9}})
    monkeypatch.setenv("MILLRACE_STATE_DSN", "postgresql://nobody:nothing@127.0.0.1:1/millrace")
    engine_settings.cache_clear()
    cursor = look(location, sensors.engine_problems, cursor)
    assert webhook.about("the engine cannot be asked") == ["opened"] and webhook.about(known) == []
    monkeypatch.setenv("MILLRACE_STATE_DSN", stack.env["MILLRACE_STATE_DSN"])
    engine_settings.cache_clear()
    look(location, sensors.engine_problems, cursor)
    assert webhook.about("the engine cannot be asked") == ["opened", "over"] and webhook.about(known) == ["over"]
