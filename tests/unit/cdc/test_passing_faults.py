"""Which of ClickHouse's refusals are about its disk and pass, and which are about a row: by its own words."""

import pytest

from cdc.sinks.clickhouse.writer import _passing

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
    assert _passing(code, reason)


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
    assert not _passing(code, reason)
