"""What is said of a connector that failed: a line, with what lies behind it."""

import pytest

from cdc.connect.client import in_a_line

OUTER = "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer."
INNER = 'org.postgresql.util.PSQLException: ERROR: publication "p" does not exist'


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (
            f"{OUTER}\n\tat a.B.c(B.java:1)\nCaused by: x.Y: between\n\tat a.B\nCaused by: {INNER}\n\t... 5 more",
            f"{OUTER} ({INNER})",
        ),
        (f"{OUTER}\n\tat a.B.c(B.java:1)", OUTER),
        (f"x.Z: {INNER}\n\tat a.B\nCaused by: {INNER}\n\t... 1 more", f"x.Z: {INNER}"),
        ("", "no reason given"),
    ],
)
def test_the_innermost_cause_is_in_the_line(trace: str, line: str) -> None:
    assert in_a_line(trace) == line
