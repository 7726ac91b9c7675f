"""The parts of the cache that need no server: how entries are written, who refreshes early, which requests it may answer."""

import random
import time

import pytest
from starlette.requests import Request
from starlette.routing import Match

from services.kit import cache_fill
from services.kit.cache_shared import Entry
from services.products.cached import Answer, CachedRoute

ENTRY = Entry(123, b'"1-ab"\n{"name": "M\xc3\xbcller"}', 1_800_000_000.125, 0.004)


@pytest.mark.parametrize("entry", [ENTRY, Entry(2**62, None, 1_800_000_000.0, 0.0), Entry(1, b"", 1.0, 1000.0)])
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert Entry.parse(entry.dump()) == entry


@pytest.mark.parametrize("value", [None, b"", b"123", b"x" * 60, "0" * 60])
def test_what_is_no_entry_is_a_miss(value: bytes | str | None) -> None:
    assert Entry.parse(value) is None


def test_versions_compare_as_text_as_they_do_as_numbers() -> None:
    versions = [1, 9, 10, 2**31, 2**53 + 1, 2**62]
    texts = sorted(Entry(version, b"", 1, 1).dump() for version in reversed(versions))
    assert [entry.version for text in texts if (entry := Entry.parse(text))] == versions


@pytest.mark.parametrize(
    ("left", "took", "drawn", "early"),
    [
        (10, 0.005, 0.999, False),  # a load of 5 ms: hours away from ten seconds
        (0.01, 0.005, 0.0, False),
        (0.01, 0.005, 0.9, True),
        (-1, 0.005, 0.0, True),
        (10, 60, 0.5, True),
    ],
)
def test_the_nearer_the_end_and_the_longer_the_load_the_likelier_is_a_refresh(
    left: float, took: float, drawn: float, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(random, "random", lambda: drawn)
    assert cache_fill._early(Entry(1, b"", 1000 + left, took)) is early


def _scope(*headers: tuple[bytes, bytes], method: str = "GET") -> dict[str, object]:
    return {"type": "http", "method": method, "path": "/products/1", "headers": list(headers)}


@pytest.mark.parametrize(
    ("scope", "match"),
    [
        (_scope(), Match.FULL),
        (_scope((b"cache-control", b"max-age=0")), Match.FULL),
        (_scope((b"cache-control", b"no-cache")), Match.NONE),
        (_scope((b"x-commit-lsn", b"0/1")), Match.NONE),
        (_scope(method="PATCH"), Match.PARTIAL),
    ],
)
def test_a_request_that_wants_the_row_as_it_is_passes_the_cache_by(scope: dict[str, object], match: Match) -> None:
    assert CachedRoute().matches(scope)[0] is match


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 200), ('"1-ab"', 304), ('W/"1-ab"', 304), ('"x", "1-ab"', 304), ("*", 304), ('"1-ac"', 200), ("", 200)],
)
def test_who_has_the_answer_is_told_so(header: str | None, status: int) -> None:
    headers = [] if header is None else [(b"if-none-match", header.encode())]
    answer = Answer(ENTRY.body or b"").to(Request({"type": "http", "headers": headers}))
    assert (answer.status_code, answer.headers["etag"]) == (status, '"1-ab"')
    assert answer.body == (b"" if status == 304 else b'{"name": "M\xc3\xbcller"}')
