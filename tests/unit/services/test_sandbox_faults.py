"""The sandbox provider's faults: a token's strikes once, a lot depends on nothing but the seed and what is asked."""

import pytest
from pydantic import ValidationError

from services.payments.sandbox.faults import Fault, Faults, Operation


@pytest.mark.parametrize(
    ("token", "operation", "fault"),
    [
        ("tok_declined", Operation.AUTHORISE, Fault.DECLINED),
        ("tok_lost", Operation.AUTHORISE, Fault.LOST),
        ("tok_twice", Operation.AUTHORISE, Fault.TWICE),
        ("tok_capture_late", Operation.CAPTURE, Fault.LATE),
        ("tok_void_error", Operation.VOID, Fault.ERROR),
        ("tok_refund_unreached", Operation.REFUND, Fault.UNREACHED),
    ],
)
def test_a_token_strikes_at_the_first_attempt_of_its_operation(token: str, operation: Operation, fault: Fault) -> None:
    for tried in Operation:
        assert Faults().strikes(tried, "order", 1, token) == (fault if tried == operation else None)
        assert Faults().strikes(tried, "order", 2, token) is None


@pytest.mark.parametrize("token", ["tok_ok", "tok_", "tok_lostX", "tok_capture_twice", "tok_void_declined"])
def test_other_tokens_are_good(token: str) -> None:
    assert {Faults().strikes(operation, "order", 1, token) for operation in Operation} == {None}


def test_a_lot_is_the_same_for_the_same_seed_and_near_its_probability() -> None:
    def drawn(seed: int) -> list[Fault | None]:
        faults = Faults(seed=seed, lost=0.1, late=0.2)
        return [faults.strikes(Operation.CAPTURE, f"charge {number}", 1, "tok_ok") for number in range(1000)]

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert 60 <= first.count(Fault.LOST) <= 140
    assert 140 <= first.count(Fault.LATE) <= 260
    assert set(first) == {None, Fault.LOST, Fault.LATE}


def test_a_lot_is_drawn_for_the_named_operations_only_and_where_it_makes_sense() -> None:
    assert Faults(error=1, operations=[Operation.VOID]).strikes(Operation.CAPTURE, "a", 1, "tok_ok") is None
    assert Faults(error=1, operations=[Operation.VOID]).strikes(Operation.VOID, "a", 9, "tok_ok") is Fault.ERROR
    assert Faults(twice=1).strikes(Operation.REFUND, "a", 1, "tok_ok") is None


@pytest.mark.parametrize("wrong", [{"lost": 1.1}, {"lost": -0.1}, {"late_s": -1}, {"operations": ["steal"]}, {"x": 1}])
def test_wrong_faults_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Faults.model_validate(wrong)
