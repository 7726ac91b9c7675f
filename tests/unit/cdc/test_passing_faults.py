"""Which of ClickHouse's refusals are about itself and pass, and which are about a row: by its own words."""

import pytest

from cdc.sinks.clickhouse.passing import passes

FILESYSTEM = (
    "Received ClickHouse exception, code: 1001, server response: std::exception. Code: 1001, type: "
    "std::__1::filesystem::filesystem_error, e.what() = filesystem error: in create_directories: No space left on device"
)
POCO = (
    "Received ClickHouse exception, code: 1000, server response: Poco::Exception. Code: 1000, e.code() = 28, File access "
    "error: no space left on device: /data/x"
)
OTHER = (
    "Received ClickHouse exception, code: 1001, server response: std::exception. Code: 1001, type: std::out_of_range, "
)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (243, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"),
        (
            75,
            "Code: 75. DB::ErrnoException: Cannot write to file /data/x: , errno: 28, strerror: No space left on device.",
        ),
        (76, "Code: 76. DB::ErrnoException: Cannot open file /data/x: , errno: 28, strerror: No space left on device."),
        (1001, FILESYSTEM),
        (1000, POCO),
    ],
)
def test_a_full_disk_passes(code: int, reason: str) -> None:
    assert passes(code, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (27, f"Code: 27. DB::Exception: Cannot parse input: expected a number before: {FILESYSTEM}"),
        (
            469,
            "Code: 469. DB::Exception: Constraint `small` is violated at row 1: v = 'errno: 28, No space left on device'",
        ),
        (1001, f"{OTHER}e.what() = {FILESYSTEM}"),
        (1000, "Poco::Exception. Code: 1000, e.code() = 0, Syntax error: e.code() = 28,"),
    ],
)
def test_a_row_that_speaks_of_a_full_disk_is_refused_all_the_same(code: int, reason: str) -> None:
    assert not passes(code, reason)


AWAY = "Received ClickHouse exception, code: {0}, server response: Code: {0}. DB::NetException: {1}"
CUT_OFF = (
    "Code: 32. DB::Exception: Attempt to read after eof: while receiving packet from 127.0.0.1:9000, local address: x"
)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (279, "All connection tries failed. Log: "),
        (210, "Connection reset by peer, while reading from socket (peer: 127.0.0.1:9000)"),
        (209, "Timeout exceeded while reading from socket"),
        (101, "Unexpected packet from client"),
        (32, "Attempt to read after eof: while receiving packet from 127.0.0.1:9000, local address: 127.0.0.1:9100"),
        (285, "Number of alive replicas (0) is less than requested quorum (1/2). (TOO_FEW_LIVE_REPLICAS)"),
        (999, "Session expired (Session expired). (KEEPER_EXCEPTION)"),
    ],
)
def test_a_server_of_the_cluster_that_is_away_passes(code: int, words: str) -> None:
    assert passes(code, AWAY.format(code, words))


def test_a_right_that_was_taken_passes() -> None:
    assert passes(497, "Code: 497. DB::Exception: cdc: Not enough privileges. To execute this query (ACCESS_DENIED)")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (32, "Code: 32. DB::Exception: Attempt to read after eof: (at row 1)"),
        (32, f"Code: 32. DB::Exception: Attempt to read after eof: Buffer is empty, the row says: {CUT_OFF}"),
        (27, f"Code: 27. DB::Exception: Cannot parse input: expected a number before: {CUT_OFF}"),
        (53, "Code: 53. DB::Exception: Type mismatch in VALUES section: All connection tries failed"),
    ],
)
def test_a_row_that_ends_early_is_refused_all_the_same(code: int, reason: str) -> None:
    assert not passes(code, reason)
