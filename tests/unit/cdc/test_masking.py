"""Masks as they are declared, and the key that hashes need."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cdc import source_file
from cdc.connect import secrets as secrets_file
from cdc.connect.secrets import ensure_mask_key
from cdc.errors import ConfigurationError
from cdc.kafka import retention
from cdc.masking import Mask, check_key, session_options

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "mask"), [("hash", Mask("hash")), ("redact", Mask("redact")), ("truncate(12)", Mask("truncate", 12))]
)
def test_masks_are_read_as_a_source_file_spells_them(text: str, mask: Mask) -> None:
    assert Mask.parse(text) == mask


@pytest.mark.parametrize("text", ["", "Hash", "truncate", "truncate(0)", "truncate(-1)", "truncate(99999)", "hash(2)"])
def test_an_unknown_mask_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no mask; there are hash, redact and truncate\(n\)"):
        Mask.parse(text)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("{mask: {v: md5}}", "`columns.public.t.mask`: 'md5' is no mask"),
        ("{mask: {v: hash}, exclude: [v]}", "v cannot be excluded and used as well"),
        ("{mask: {v: hash}, key: [v]}", "v of the key cannot be masked"),
    ],
)
def test_a_source_file_that_masks_what_cannot_be_is_refused(tmp_path: Path, columns: str, says: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(f"source: shop\ndsn: x\ntables: ['public.*']\ncolumns: {{public.t: {columns}}}\n")
    with pytest.raises(ConfigurationError) as refused:
        source_file.load(path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "k" * 31, KEY + "\\", " " + KEY, KEY + "\n" + KEY])
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_key(key)
    assert not key or key not in str(refused.value)


def test_another_key_than_the_one_that_connect_has_is_refused(tmp_path: Path) -> None:
    secrets = tmp_path / "sources.properties"
    assert ensure_mask_key(KEY, str(secrets))
    assert not ensure_mask_key(KEY, str(secrets))
    with pytest.raises(ConfigurationError, match="CDC_MASK_KEY is not the key that Connect has") as refused:
        ensure_mask_key(KEY[::-1], str(secrets))
    assert KEY[::-1] not in str(refused.value)
    assert secrets.read_text() == f"mask_key={KEY}\n"


@pytest.mark.parametrize("key", [KEY, "é" * 40, "x" * 64, "y" * 200])
def test_the_two_settings_of_a_session_make_hmac(key: str) -> None:
    """What PostgreSQL computes from them, computed here."""
    inner, outer = (bytes.fromhex(option.partition("=")[2]) for option in session_options(key).split("-c ")[1:])
    digest = hashlib.sha256(outer + hashlib.sha256(inner + b"text").digest()).hexdigest()
    assert digest == hmac.new(key.encode(), b"text", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("hours", [2, 24, 168])
def test_a_record_is_gone_when_its_time_is_over_however_full_its_segment(hours: int) -> None:
    settings = retention(hours)
    assert int(settings["retention.ms"]) + int(settings["segment.ms"]) == hours * 3_600_000


def test_lines_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "sources.properties"
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: secrets_file.ensure({f"s{number}_password": "x"}, path), range(64)))
    assert sorted(path.read_text().splitlines()) == sorted(f"s{number}_password=x" for number in range(64))
