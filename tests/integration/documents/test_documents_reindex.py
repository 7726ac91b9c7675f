"""An index built anew beside the one in use: no search fails, no change is lost, there and back, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from cdc import documents
from cdc import state as engine_state
from cdc.commands.search import app
from cdc.documents import contents, index
from cdc.errors import ConfigurationError, PermanentError, TransientError
from cdc.settings import settings
from cdc.sinks.positions import DOCUMENTS_GROUP
from tests.integration.documents.shop import Shop, eventually, running
from tests.integration.documents.under_load import Load, load

GROUP = f"{DOCUMENTS_GROUP}-test-{uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def fresh(shop: Shop) -> None:
    """One loaded index, whatever a test before has left."""
    documents.remove(shop.trees, shop.config)
    documents.prepare(shop.trees, shop.config)
    documents.backfill(shop.file, shop.known, shop.trees, shop.config)


def built_anew(shop: Shop) -> documents.DocumentProof:
    return documents.reindex(shop.file, shop.known, shop.tree, shop.config, shop.passed(GROUP))


def roles(shop: Shop) -> dict[str, str]:
    """Each index with what it is for; changes must reach every one."""
    [found] = documents.indexes(shop.trees, shop.config)
    assert all(each.followed for each in found.indexes)
    return {each.name: each.role for each in found.indexes}


def proofs(shop: Shop) -> dict[str, bool]:
    found = documents.verify(shop.file, shop.known, shop.trees, shop.config, shop.passed(GROUP))
    return {proof.index: proof.equal for proof in found}


def there_and_back(shop: Shop, wares: int, rate: int) -> None:
    """Build the index anew under load, go back, and begin again."""
    first, second = f"{shop.tree.index}-1", f"{shop.tree.index}-2"
    with running(shop, GROUP):
        some = shop.add_many(80, wares)
        shop.settle(GROUP)
        shop.client.indices.refresh(index=shop.tree.index)
        with load(shop, some, rate, seed=1) as done:
            assert built_anew(shop).equal
            assert roles(shop) == {first: "kept", second: "read"}
            go_on(done, rate)
            documents.rollback(shop.tree, shop.config)
            assert roles(shop) == {first: "read", second: "kept"}
            go_on(done, rate)
        assert (done.failed, done.searches > 10) == ([], True)
        assert proofs(shop) == {shop.tree.index: True, second: True}
        assert built_anew(shop).equal
        assert roles(shop) == {first: "kept", second: "read"}
        assert documents.give_up_others(shop.tree, shop.config) == [first]
        shop.execute("UPDATE wares SET name = 'afterwards' WHERE id = %s", some[0])
        shop.settle(GROUP)
        assert proofs(shop) == {shop.tree.index: True}
        assert (shop.document(some[0]) or {})["name"] == "afterwards"
        shop.execute("DELETE FROM wares WHERE section_id = 80")
        shop.settle(GROUP)


def go_on(done: Load, changes: int) -> None:
    """Return after so many more changes, and some more searches."""
    before = replace(done)
    eventually(lambda: done.changes > before.changes + changes and done.searches > before.searches + 3, 60)


def test_no_search_fails_and_no_change_is_lost_there_and_back(shop: Shop) -> None:
    there_and_back(shop, wares=600, rate=100)


@pytest.mark.long
def test_no_search_fails_and_no_change_is_lost_at_two_thousand_changes_a_second(shop: Shop) -> None:
    there_and_back(shop, wares=20_000, rate=2000)


def test_deletes_and_new_roots_reach_both_indexes(shop: Shop) -> None:
    with running(shop, GROUP):
        gone = shop.add(81)
        shop.settle(GROUP)
        built_anew(shop)
        come = shop.add(81)
        shop.execute("DELETE FROM wares WHERE id = %s", gone)
        shop.settle(GROUP)
        for name in roles(shop):
            found = contents.bodies(shop.client, name, [gone, come])
            assert list(found) == [come]
        shop.execute("TRUNCATE wares CASCADE")
        shop.settle(GROUP)
        assert proofs(shop) == {shop.tree.index: True, f"{shop.tree.index}-1": True}


def test_a_document_that_is_spoilt_in_the_index_kept_for_the_way_back_is_found_and_mended(shop: Shop) -> None:
    with running(shop, GROUP):
        ware = shop.add(82)
        shop.settle(GROUP)
        built_anew(shop)
        kept = f"{shop.tree.index}-1"
        version = shop.client.get(index=kept, id=ware)["_version"] + 1
        shop.client.index(index=kept, id=ware, document={"id": ware}, version=version, version_type="external")
        assert proofs(shop) == {shop.tree.index: True, kept: False}
        mended = documents.repair(shop.file, shop.known, shop.trees, shop.config, shop.passed(GROUP))
        assert {each.proof.index: (each.differing, each.proof.equal) for each in mended} == {
            shop.tree.index: (0, True),
            kept: (1, True),
        }


def test_a_run_that_was_killed_leaves_readers_alone_and_the_next_begins_anew(
    shop: Shop, stack_environment: dict[str, str]
) -> None:
    first, second = f"{shop.tree.index}-1", f"{shop.tree.index}-2"
    with running(shop, GROUP):
        ware = shop.add(83)
        shop.settle(GROUP)
        with engine_state.connect(shop.config.millrace_state_dsn) as state:
            state.execute("INSERT INTO millrace.failpoints VALUES ('reindex.loaded-some', 1)")
        ended = subprocess.run(
            [sys.executable, "-c", "from cdc.commands.search import app; app()", "reindex", shop.tree.index],
            env=stack_environment,
            timeout=120,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL
        assert roles(shop) == {first: "read", second: "unfinished"}
        [found] = documents.indexes(shop.trees, shop.config)
        assert "begins anew" in found.wrong[0]
        shop.execute("UPDATE wares SET name = 'meanwhile' WHERE id = %s", ware)
        shop.settle(GROUP)
        assert proofs(shop) == {shop.tree.index: True}
        with pytest.raises(ConfigurationError, match="no other index that is kept up to date to go back to"):
            documents.rollback(shop.tree, shop.config)
        assert built_anew(shop).equal
        assert roles(shop) == {first: "kept", second: "read"}


@pytest.fixture
def stack_environment(shop: Shop) -> dict[str, str]:
    """For a command of its own: the servers, and the state of this shop."""
    values = {name.upper(): str(value) for name, value in shop.config.model_dump().items() if value is not None}
    dsn = make_conninfo(shop.config.millrace_state_dsn)
    return dict(os.environ) | values | {"MILLRACE_STATE_DSN": dsn}


def test_an_epoch_that_is_raised_meanwhile_ends_it_with_a_clear_word(shop: Shop) -> None:
    first = f"{shop.tree.index}-1"
    with running(shop, GROUP), engine_state.connect(shop.config.millrace_state_dsn) as state:
        shop.add(84)
        shop.settle(GROUP)

        def promoted(_: int) -> None:
            engine_state.begin_raise(state, shop.file.source, "the server was promoted")

        with pytest.raises(PermanentError, match=r"the epoch of source .* is being raised or was raised"):
            documents.reindex(shop.file, shop.known, shop.tree, shop.config, shop.passed(GROUP), promoted)
        assert roles(shop) == {first: "read"}
        state.execute(
            "UPDATE millrace.sources SET epoch = epoch - 1, raising = NULL WHERE source = %s", [shop.file.source]
        )
        assert built_anew(shop).equal


def test_only_one_at_a_time_builds_an_index(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("cdc.documents.reindex"), "_CLAIM_WITHIN", "50ms")

    def again(_: int) -> None:
        built_anew(shop)

    shop.add(85)
    with running(shop, GROUP), pytest.raises(TransientError, match="is being built anew by another process"):
        documents.reindex(shop.file, shop.known, shop.tree, shop.config, shop.passed(GROUP), again)


def test_the_command_says_which_index_is_read_and_leads_back(
    shop: Shop, stack_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack_environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    documents.reindex(shop.file, shop.known, shop.tree, shop.config, lambda _: None)
    call, name = CliRunner().invoke, shop.tree.index
    shown = json.loads(call(app, ["status", "--json"]).stdout)["indexes"]
    assert [(each["index"], each["loaded"], each["wrong"]) for each in shown] == [(name, True, [])]
    assert [(one["role"], one["followed"]) for one in shown[0]["indexes"]] == [("kept", True), ("read", True)]
    assert "have " + name + "-1 again" in call(app, ["reindex", name, "--rollback"]).stdout
    assert roles(shop) == {f"{name}-1": "read", f"{name}-2": "kept"}
    assert f"removed {name}-2" in call(app, ["reindex", name, "--finish"]).stdout
    assert call(app, ["status"]).exit_code == 0
    unknown = call(app, ["reindex", "nothing"])
    assert (
        unknown.exit_code,
        f"no applied source has documents of index nothing; there are: {name}" in unknown.output,
    ) == (
        2,
        True,
    )
    index.beside(shop.client, shop.tree, 1)
    left = call(app, ["status"])
    assert (left.exit_code, "begins anew" in " ".join(left.stdout.split())) == (1, True)
    settings.cache_clear()


def test_an_index_that_was_never_loaded_is_not_for_this(shop: Shop) -> None:
    documents.remove(shop.trees, shop.config)
    with pytest.raises(ConfigurationError, match="`millrace cdc apply`"):
        built_anew(shop)
    documents.prepare(shop.trees, shop.config)
    with pytest.raises(ConfigurationError, match="`millrace cdc apply`"):
        built_anew(shop)
