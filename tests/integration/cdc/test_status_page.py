"""The status page on the stack: what it shows is what is, and its buttons do what they say."""

import re
from collections.abc import Iterator

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from cdc.page.doors import HEADER
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run, until


class Page:
    """The page in a browser that opened it by its address."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url.partition("?")[0], follow_redirects=True, timeout=30)
        self.whole = self.http.get(url).raise_for_status().text

    def now(self) -> str:
        """What it renews itself with."""
        return self.http.get("/now").raise_for_status().text

    def wrong(self) -> str:
        """What it says is wrong, first of all; empty when all is well."""
        found = re.search(r'<section id="wrong".*?</section>', self.now(), re.DOTALL)
        return found[0] if found else ""

    def letters_of(self, table: str) -> list[str]:
        """Numbers of the dead letters that it shows of a table."""
        rows = re.findall(r'<tr role="row" id="letter-(\d+)">(.*?)</tr>', self.now(), re.DOTALL)
        return [number for number, row in rows if table in row]

    def press(self, path: str) -> str:
        """Press a button; returns what it says came of it."""
        secret = re.search(rf'"{HEADER}": "(\w+)"', self.whole.replace("&#34;", '"'))
        assert secret is not None
        answer = self.http.post(path, headers={HEADER: secret[1]}).raise_for_status().text
        said = re.search(r'<div id="said".*?>(.*?)</div>', answer, re.DOTALL)
        assert said is not None
        return said[1]


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    """The stack's page, opened."""
    opened = Page(stack.env["STATUS_PAGE_URL"])
    yield opened
    opened.http.close()


def test_it_shows_what_is_captured_and_its_buttons_replay_and_drop_dead_letters(
    make_source: MakeSource, page: Page, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
    assert f"{source.name}.t" not in page.now()
    source.apply()
    until(lambda: f"{source.name}.t" in page.now())
    name, rows = f"{source.name}.t", f"SELECT id FROM raw_{source.name}.t FINAL WHERE id < 10 ORDER BY id"
    target.command(f"ALTER TABLE raw_{source.name}.t ADD CONSTRAINT small CHECK n < 1000000")
    run(source, "INSERT INTO t VALUES (1, 2000000), (2, 3000000)")
    until(lambda: len(page.letters_of(name)) == 2)
    assert f"{name}: 2 changes are parked" in page.wrong()
    second, first = page.letters_of(name)
    assert "refused again" in page.press(f"/letters/{first}/replay")
    assert page.letters_of(name) == [second, first]
    target.command(f"ALTER TABLE raw_{source.name}.t DROP CONSTRAINT small")
    assert page.press(f"/letters/{first}/replay") == "Replayed 1 of 1."
    assert (page.letters_of(name), target.query(rows).result_rows) == ([second], [(1,)])
    assert page.press(f"/letters/{second}/drop").startswith(f"Dropped number {second}.")
    assert (page.letters_of(name), target.query(rows).result_rows) == ([], [(1,)])
    assert "nothing to replay" in page.press(f"/letters/{second}/replay")
    until(lambda: f"{name}: " not in page.wrong())


def test_a_sink_that_does_nothing_is_named_while_it_lasts(stack: Stack, page: Page) -> None:
    with stack.frozen("document-sink"):
        until(lambda: "document-sink does not do its work: does not answer" in page.wrong(), 30)
    until(lambda: "document-sink" not in page.wrong(), 30)


def test_a_server_that_is_away_is_named_and_the_rest_is_still_shown(stack: Stack, page: Page) -> None:
    page.now()
    with stack.frozen("connect"):
        until(lambda: "Kafka Connect does not do its work: does not answer" in page.wrong(), 30)
        assert "products.stock" in page.now()
    until(lambda: "Kafka Connect does not" not in page.wrong(), 30)
