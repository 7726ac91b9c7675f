"""What readers wait for: batches that are open, for as long as there is somebody who will close them."""

import pytest

from cdc import state as engine_state
from cdc.settings import settings
from tests.integration.cdc.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_state")


def test_a_batch_of_a_session_that_is_gone_is_closed_and_one_of_a_session_that_lives_is_not() -> None:
    dsn = settings().millrace_state_dsn
    with engine_state.connect(dsn) as state, engine_state.connect(dsn) as living:
        with engine_state.connect(dsn) as killed:
            left = engine_state.open_batch(killed, "replay")
        held = engine_state.open_batch(living, "sink")
        assert engine_state.close_orphaned(state, "1 hour") == []
        closed: list[tuple[int, str]] = []

        def close() -> bool:
            closed.extend(engine_state.close_orphaned(state, "0 s"))
            return bool(closed)

        eventually(close, "the batch of the session that is gone is closed")
        assert closed == [(left, "replay")]
        assert engine_state.readable_below(state) == held


def test_a_source_that_is_taken_out_leaves_no_batch_of_its_copiers_open() -> None:
    with engine_state.connect(settings().millrace_state_dsn) as state:
        engine_state.open_batch(state, "copy-shop.public.t")
        other = engine_state.open_batch(state, "copy-shop2.public.t")
        engine_state.forget_source(state, "shop")
        assert engine_state.readable_below(state) == other
