"""Dates and timestamps: exact inside the range of ClickHouse's types, refused outside it unless declared otherwise.

Date32 holds 1900-01-01 to 2299-12-31, and ClickHouse clamps what it reads to that range without a word: the text is
looked at first. DateTime64(6) holds the years 1 to 9999, and its parser refuses what is outside.
"""

from dataclasses import replace

from cdc.types.mapping import Sql, TypeMapping, same, strict

_DAYS = ("1900-01-01", "2299-12-31")
_MOMENTS = ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999")


def _parse_date(text: str) -> str:
    year = f"substring({text}, 1, 4)"
    message = "a date outside 1900-01-01 to 2299-12-31; declare text or clamp for its column"
    refused = strict(f"{year} < '1900' OR {year} > '2299'", message)
    return f"addDays(toDate32({text}), {refused})"


def _parse_timestamp(text: str) -> str:
    return f"parseDateTime64BestEffort({text}, 6, 'UTC')"


def _finite(digest: Sql) -> Sql:
    return lambda c: f"CASE WHEN isfinite({c}) THEN {digest(c)} ELSE {c}::text END"


def _days(value: str) -> str:
    return f"({value} - date '1970-01-01')::text"


def _microseconds(value: str) -> str:
    return f"(extract(epoch FROM {value}) * 1000000)::numeric(30, 0)::text"


DATE = TypeMapping(
    "Date32",
    same,
    _finite(_days),
    lambda c: f"toString(toInt32({c}))",
    _parse_date,
    direct=False,
    zero="1970-01-01",
)
TIMESTAMP = TypeMapping(
    "DateTime64(6, 'UTC')",
    same,
    _finite(_microseconds),
    lambda c: f"toString(toUnixTimestamp64Micro({c}))",
    _parse_timestamp,
    zero="1970-01-01 00:00:00",
)


def _within(text: str, low: str, high: str, below: str, above: str) -> str:
    """The text, or one of the limits in its place."""
    too_low = f"{text} = '-infinity' OR endsWith({text}, ' BC'){below}"
    too_high = f"{text} = 'infinity' OR position({text}, '-') > 5{above}"
    return f"multiIf({too_low}, '{low}', {too_high}, '{high}', {text})"


def _clamped_date(text: str) -> str:
    year = f"substring({text}, 1, 4)"
    short = f"position({text}, '-') = 5"
    kept = _within(text, *_DAYS, f" OR ({short} AND {year} < '1900')", f" OR {year} > '2299'")
    return f"toDate32({kept})"


def _clamped_timestamp(text: str) -> str:
    return _parse_timestamp(_within(text, *_MOMENTS, "", ""))


def _between(kind: str, low: str, high: str, digest: Sql) -> Sql:
    return lambda c: digest(f"greatest(least({c}, {kind} '{high}'), {kind} '{low}')")


def _beyond(kind: str, low: str, high: str) -> Sql:
    return lambda c: f"({c} < {kind} '{low}' OR {c} > {kind} '{high}')"


CLAMPED: dict[str, TypeMapping] = {
    "date": replace(
        DATE,
        from_text=_clamped_date,
        digest_source=_between("date", *_DAYS, _days),
        clamped=_beyond("date", *_DAYS),
    ),
    **{
        kind: replace(
            TIMESTAMP,
            from_text=_clamped_timestamp,
            direct=False,
            digest_source=_between(kind, *_MOMENTS, _microseconds),
            clamped=_beyond(kind, *_MOMENTS),
        )
        for kind in ("timestamp", "timestamptz")
    },
}
"""What `clamp` in a source file means, for the types that allow it."""

TIMES: dict[str, TypeMapping] = {"date": DATE, "timestamp": TIMESTAMP, "timestamptz": TIMESTAMP}
