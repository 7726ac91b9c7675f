"""Versions: their order is the order of tuples, and LSNs keep PostgreSQL's spelling."""

from hypothesis import given
from hypothesis import strategies as st

from cdc.version import Version, format_lsn, parse_lsn

positions = st.integers(min_value=0, max_value=(1 << 56) - 1)
versions = st.builds(Version, st.integers(min_value=0, max_value=255), positions, positions)


@given(versions, versions)
def test_packed_versions_order_as_epoch_then_commit_then_lsn(first: Version, second: Version) -> None:
    assert (first.pack() < second.pack()) == (first < second)


@given(versions)
def test_unpack_inverts_pack(version: Version) -> None:
    assert Version.unpack(version.pack()) == version
    assert version.pack() < 1 << 128


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_lsn_spelling_inverts(lsn: int) -> None:
    assert parse_lsn(format_lsn(lsn)) == lsn


def test_lsn_is_spelled_as_postgresql_does() -> None:
    assert parse_lsn("16/B374D848") == 0x16B374D848
    assert format_lsn(0x16B374D848) == "16/B374D848"


def test_a_record_with_a_lower_lsn_wins_when_its_transaction_committed_later() -> None:
    """T2's insert is written at 0x90, T1's delete at 0xD8, yet T2 commits last: the row lives."""
    deleted_by_first = Version(epoch=1, commit=0x20, lsn=0xD8)
    inserted_by_second = Version(epoch=1, commit=0xE0, lsn=0x90)
    assert inserted_by_second > deleted_by_first
