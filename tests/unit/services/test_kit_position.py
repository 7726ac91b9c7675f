"""Tokens of positions in the log."""

import pytest

from services.kit import position
from services.kit.position import Positions, Scope
from services.kit.problem import MalformedHeader

OURS = Positions("one secret")


@pytest.mark.parametrize("lsn", [0, 1, 0x16B3748, 2**64 - 1])
def test_a_token_is_read_by_the_service_that_wrote_it(lsn: int) -> None:
    assert OURS.read(OURS.write(lsn)) == lsn


@pytest.mark.parametrize(
    "token",
    ["", "x", "0/16B3748", "é", "A" * 27, Positions("another").write(5), OURS.write(5)[:-2], OURS.write(5) + "AA"],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(MalformedHeader):
        OURS.read(token)


def test_a_request_must_see_the_newer_of_what_it_brought_and_what_it_wrote() -> None:
    request = Scope(OURS.write(10), writes=True)
    mark = position.scope.set(request)
    try:
        assert OURS.required() == 10
        OURS.wrote(20)
        OURS.wrote(15)
        assert (OURS.required(), OURS.read(str(request.token))) == (20, 20)
    finally:
        position.scope.reset(mark)


def test_without_a_request_nothing_is_required() -> None:
    OURS.wrote(5)
    assert OURS.required() is None
