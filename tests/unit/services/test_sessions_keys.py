"""The keys of access tokens: private, published before they sign, and after, until their tokens have expired."""

import time
from pathlib import Path

import pytest

from services.sessions import keys as module
from services.sessions.keys import KeyFileError, Keys, rotated


def kids(keys: Keys) -> list[str]:
    return sorted(key["kid"] for key in keys.published()["keys"])


def signing(keys: Keys) -> str:
    return next(key.kid for key in keys.current() if key.state == "signing")


def test_the_file_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "sessions" / "keys.json"
    first = Keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(kids(first)) == 2
    assert kids(Keys(path)) == kids(first)
    assert list(path.parent.iterdir()) == [path]


def test_only_public_parts_are_published(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    for published in keys.published()["keys"]:
        assert set(published) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert not {key.seed for key in keys.current()} & {key["x"] for key in keys.published()["keys"]}


def test_a_rotation_is_noticed_by_who_reads_the_file_and_keeps_the_former_key_published(tmp_path: Path) -> None:
    running, tool = Keys(tmp_path / "keys.json"), Keys(tmp_path / "keys.json")
    former, before = signing(running), kids(running)
    assert tool.rotate().kid == signing(running) != former
    assert signing(running) in before
    assert set(before) < set(kids(running))
    assert len(kids(running)) == 3


def test_a_second_rotation_waits_until_no_token_of_the_retired_key_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(tmp_path / "keys.json")
    former = signing(keys)
    keys.rotate()
    with pytest.raises(KeyFileError, match="rotate again when"):
        keys.rotate()
    later = time.time() + 361
    monkeypatch.setattr("services.sessions.keys.time.time", lambda: later)
    assert former not in kids(keys)
    keys.rotate()
    assert len(keys.current()) == 3


def test_a_file_that_others_can_read_or_that_is_broken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    Keys(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Keys(path)
    path.chmod(0o600)
    for broken in ("", "{", "[1]", '[{"kid": "a"}]'):
        path.write_text(broken)
        with pytest.raises(KeyFileError, match="cannot be read as a file of keys"):
            Keys(path)


def test_a_rotation_changes_states_only() -> None:
    first = [module.new_key("signing"), module.new_key("next")]
    after = {key.state: key for key in rotated(first, 1000.0)}
    assert (after["signing"].seed, after["retired"].seed) == (first[1].seed, first[0].seed)
    assert after["retired"].retired_at == 1000.0
