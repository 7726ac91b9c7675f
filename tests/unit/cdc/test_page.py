"""What the status page says, in which order, and to whom."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from cdc.errors import TransientError
from cdc.page.actions import Actions
from cdc.page.app import application
from cdc.page.doors import HEADER, Doors
from cdc.page.kept import Letter, Proof
from cdc.page.look import View
from cdc.page.parts import Part
from cdc.page.render import RUNBOOK, Render, section_of
from cdc.page.watch import Watch
from cdc.page.way import Ages, summed, ways
from cdc.page.words import coded, duration, number
from cdc.page.wrong import everything_wrong
from cdc.status import GroupLag, SourceStatus, Status, TableStatus, problems
from cdc.waits import Wait

TABLE = TableStatus("shop.public.t", (GroupLag("clickhouse", 0, 0.0),), 0, True, None, None, None, None, None)
SOURCE = SourceStatus("shop", 1, "running", 900, 300, 1000, "reserved", 5000, True, None, (TABLE,))
WELL = replace(SOURCE, retained=100)
LETTER = Letter(7, "clickhouse", "shop.public.t", '{"id": 1}', "too large", datetime.now(UTC))


def view(source: SourceStatus = WELL, parts: tuple[Part, ...] = (), waits: tuple[Wait, ...] = ()) -> View:
    """A look at this source."""
    status = Status(time.time(), (source,), waits)
    wrong = tuple(everything_wrong(status, parts, {"clickhouse": 1}, ()))
    return View(time.time(), time.time(), status, ways(status, Ages()), parts, {"clickhouse": 1}, (), 0, (), wrong)


def text(seen: View | None) -> str:
    return Render("secret").now(seen)


def test_where_nothing_is_wrong_it_says_so_and_lists_no_problem() -> None:
    shown = text(view())
    assert "All is well" in shown
    assert 'id="wrong"' not in shown


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (replace(SOURCE, retained=500), "shop: its slot holds 50% of what the server keeps for it"),
        (SOURCE, "shop: urgent: its slot holds 90% of what the server keeps for it"),
        (replace(WELL, limit=200), "shop: its slot holds 50% of what slot_limit of its source file allows"),
        (replace(WELL, limit=110, budget=None), "shop: urgent: its slot holds 91% of what slot_limit"),
        (replace(WELL, connector="no memory"), "shop: its connector is not running: no memory"),
        (replace(WELL, problem="the slot s is gone"), "shop: the slot s is gone"),
        (
            replace(WELL, tables=(replace(TABLE, parked="column a is gone"),)),
            "shop.t is not followed: column a is gone",
        ),
        (replace(WELL, tables=(replace(TABLE, open_letters=3),)), "shop.t: 3 changes are parked"),
        (replace(WELL, tables=(replace(TABLE, differing=2),)), "shop.t: 2 keys differed when it was verified"),
    ],
)
def test_what_is_wrong_stands_first_with_the_command_and_its_section(source: SourceStatus, says: str) -> None:
    [problem] = problems(Status(0.0, (source,)))
    shown = text(view(source))
    assert "One thing is wrong" in shown
    assert shown.index(says) < shown.index(problem.command) < shown.index('id="way"')
    assert f'href="/runbook#{problem.section}"' in shown


def test_causes_stand_before_what_follows_from_them() -> None:
    waits = (Wait("sink-1", "clickhouse", "ClickHouse is away", 5.0),)
    seen = view(replace(WELL, connector="dead"), (Part("ClickHouse", "server", "u", "refused"),), waits)
    assert [problem.what for problem in seen.wrong] == [
        "ClickHouse does not do its work: refused",
        "sink-1 has waited for 5 s: ClickHouse is away",
        "shop: its connector is not running: dead",
    ]


def test_a_target_that_no_process_writes_to_is_named_only_where_something_is_captured_for_it() -> None:
    status = Status(0.0, (WELL,))
    found = everything_wrong(status, (), {"clickhouse": 0, "elasticsearch": 0}, ())
    assert [problem.what for problem in found] == ["no process writes to ClickHouse"]


def test_every_problem_leads_to_a_section_of_the_runbook_that_exists() -> None:
    sections = {section_of(line[3:]) for line in RUNBOOK.read_text().splitlines() if line.startswith("## ")}
    ill = replace(
        SOURCE,
        connector="dead",
        problem="gone",
        tables=(replace(TABLE, parked="so", open_letters=1, differing=1),),
    )
    parts = (Part("a", "server", "u", "away"), Part("b", "process", "u", "away"))
    found = everything_wrong(
        Status(0.0, (ill,), (Wait("s", "clickhouse", "r", 1.0),)), parts, {"clickhouse": 0}, ["Kafka is away"]
    )
    assert {problem.section for problem in found} == sections
    shown = Render("secret").runbook()
    assert all(f'<h2 id="{section}"' in shown for section in sections)


def test_data_is_shown_as_text_never_as_markup() -> None:
    evil = replace(LETTER, key="<script>alert(1)</script>", reason='"><img src=x>')
    shown = text(replace(view(), letters=(evil,), letters_open=1))
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_a_document_is_not_offered_for_replay() -> None:
    document = replace(LETTER, id=8, target="elasticsearch")
    shown = text(replace(view(), letters=(LETTER, document), letters_open=2))
    assert 'hx-post="/letters/7/replay"' in shown
    assert 'hx-post="/letters/8/replay"' not in shown
    assert 'hx-post="/letters/8/drop"' in shown


def test_an_old_status_says_as_of_when_it_is() -> None:
    seen = view()
    assert seen.status is not None
    old = replace(seen, status=replace(seen.status, at=seen.at - 60))
    assert "the way of the data as of" not in text(seen)
    assert "the way of the data as of" in text(old)


def test_while_something_hangs_it_does_not_call_well_what_it_saw_before() -> None:
    seen = replace(view(), whole_at=time.time() - 60)
    assert "All is well" not in text(seen)
    assert "Something hangs" in text(seen)
    first = replace(view(), whole_at=0.0, status=None)
    assert "Asking every part" in text(first)


def test_a_part_of_a_look_is_shown_but_not_taken_for_the_whole() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def look() -> Iterator[View]:
        yield replace(view(), whole_at=1.0)
        begun.set()
        go_on.wait(10)
        yield view()

    before, watch = time.time(), Watch(look, lambda: None)
    watch.start()
    try:
        watch.view(patience=0.2)
        assert begun.wait(5)
        seen = watch.view(patience=0.2)
        assert seen is not None
        assert seen.whole_at == 1.0
        threading.Timer(0.2, go_on.set).start()
        whole = watch.view(newer_than=before)
        assert whole is not None
        assert whole.whole_at >= before
    finally:
        go_on.set()
        watch.stop()
        watch.join()


def test_a_backfill_shows_how_far_it_is_and_a_proof_both_sides() -> None:
    proof = Proof("shop.public.t", "clickhouse", datetime.now(UTC) - timedelta(hours=3), 1_234_567, 1_234_566, 1)
    copying = replace(WELL, tables=(replace(TABLE, copying=(3, 8)),))
    shown = text(replace(view(copying), proofs=(proof,)))
    assert 'max="8" value="3"' in shown
    assert all(word in shown for word in (number(1_234_567), number(1_234_566), "1 DIFFER", "3 h ago"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (59, "59 s"), (600, "10 min"), (18_000, "5 h"), (864_000, "10 days")],
)
def test_lengths_of_time_have_one_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a < b", "a &lt; b"),
        ("do `x<y>` now", "do <code>x&lt;y&gt;</code> now"),
        ("`a`.`b` end", "<code>a</code>.<code>b</code> end"),
        ("one ` alone", "one  alone"),
    ],
)
def test_commands_within_a_text_are_shown_as_such(text: str, shown: str) -> None:
    assert coded(text) == shown


def test_lags_of_a_source_are_added_and_its_oldest_change_counts() -> None:
    lags = [GroupLag("clickhouse", 5, 1.0, 50), GroupLag("clickhouse", 7, 9.0, 70), GroupLag("cache", 1, 0.5, 10)]
    assert summed(lags) == {"clickhouse": GroupLag("clickhouse", 12, 9.0, 120), "cache": lags[2]}


def test_the_age_of_unread_log_is_that_of_the_oldest_position_beyond_what_is_read() -> None:
    ages = Ages()
    looks = [(100.0, 1000, 0), (102.0, 1500, 500), (104.0, 1500, 500), (110.0, 1800, 300), (112.0, 1800, 0)]
    found = [ages.unread_for(replace(WELL, written=end, unread=unread), at) for at, end, unread in looks]
    assert found == [0.0, 0.0, 2.0, 0.0, 0.0]
    assert ages.unread_for(replace(WELL, written=10, unread=10), 120.0) == 0.0  # the log of another server


class Pressed(Actions):
    """Actions that are only counted."""

    def __init__(self) -> None:
        self.numbers: list[list[int] | None] = []

    def replay(self, numbers: list[int] | None) -> str:
        self.numbers.append(numbers)
        if numbers == [13]:
            raise TransientError("ClickHouse is away")
        return "Replayed <1> of 1."


class Browser:
    """A browser on this machine: it keeps cookies and follows no redirect."""

    def __init__(self, app: FastAPI) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        self._loop = asyncio.Runner()

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._loop.run(self._client.get(path, headers=headers))

    def post(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._loop.run(self._client.post(path, headers=headers))

    def close(self) -> None:
        self._loop.run(self._client.aclose())
        self._loop.close()


@pytest.fixture
def pressed() -> Pressed:
    return Pressed()


@pytest.fixture
def browser(pressed: Pressed) -> Iterator[Browser]:
    """A browser before a page that nobody has opened in it."""
    watch = Watch(lambda: [view()], lambda: None)
    watch.start()
    try:
        app = application(Doors("the-token", 80), watch, pressed)
        with closing(Browser(app)) as browser:
            yield browser
    finally:
        watch.stop()
        watch.join()


def test_it_opens_by_its_token_alone(browser: Browser) -> None:
    for path in ("/", "/now", "/runbook", "/?token=guessed"):
        assert browser.get(path).status_code == 403, path
    opened = browser.get("/?token=the-token")
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert "the-token" not in opened.headers["set-cookie"]
    assert all(word in opened.headers["set-cookie"] for word in ("HttpOnly", "SameSite=strict"))
    assert "All is well" in browser.get("/").text
    assert "script-src 'self'" in browser.get("/").headers["content-security-policy"]


def test_a_button_works_with_the_pages_own_secret_only(browser: Browser, pressed: Pressed) -> None:
    secret = {HEADER: Doors("the-token", 80).press}
    assert browser.post("/letters/7/replay", headers=secret).status_code == 403
    browser.get("/?token=the-token")
    assert browser.post("/letters/7/replay").status_code == 403
    assert browser.post("/letters/7/replay", headers={HEADER: "guessed"}).status_code == 403
    assert browser.get("/letters/7/replay", headers=secret).status_code == 405
    assert pressed.numbers == []
    done = browser.post("/letters/7/replay", headers=secret)
    assert (done.status_code, pressed.numbers) == (200, [[7]])
    assert "Replayed &lt;1&gt; of 1." in done.text
    assert secret[HEADER] in browser.get("/").text


def test_an_action_that_could_not_be_done_says_why(browser: Browser) -> None:
    browser.get("/?token=the-token")
    done = browser.post("/letters/13/replay", headers={HEADER: Doors("the-token", 80).press})
    assert "It could not be done: ClickHouse is away" in done.text


def test_a_name_that_was_made_to_lead_here_is_refused(browser: Browser) -> None:
    browser.get("/?token=the-token")
    assert browser.get("/", headers={"Host": "evil.example:80"}).status_code == 400
    assert browser.get("/", headers={"Host": "localhost:1234"}).status_code == 200


def test_nothing_is_asked_while_nobody_looks_and_one_look_serves_all() -> None:
    looks: list[float] = []

    def look() -> Iterator[View]:
        looks.append(time.time())
        yield view()

    watch = Watch(look, lambda: None)
    watch.start()
    try:
        assert looks == []
        first = watch.view()
        assert first is not None
        assert (watch.view(), len(looks)) == (first, 1)
        again = watch.view(newer_than=time.time())
        assert again is not None
        assert again.at > first.at
    finally:
        watch.stop()
        watch.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_page_that_cannot_look_any_more_ends_instead_of_showing_what_was() -> None:
    ended = threading.Event()

    def look() -> list[View]:
        raise ZeroDivisionError

    watch = Watch(look, ended.set)
    watch.start()
    assert watch.view(patience=0.5) is None
    assert ended.wait(5)
    watch.join(5)
    assert not watch.is_alive()
