"""The ways in which a provider fails its callers, asked for by a token or drawn by lot, the same lot for the same seed.

    unreached   never done, and no answer comes                    tok_unreached    tok_capture_unreached ...
    lost        done, but no answer comes                          tok_lost         tok_capture_lost ...
    late        no answer comes, nothing to be seen; done later    tok_late         tok_capture_late ...
    error       never done, answered by status 500                 tok_error        tok_capture_error ...
    twice       charged twice under one reference                  tok_twice
    declined    refused; at the capture: authorisation withdrawn   tok_declined     tok_capture_declined

A token's fault strikes at the first attempt of its operation (capture, void or refund; without one, the authorisation).
One drawn by lot depends on the seed, the operation, what it is about and which attempt it is, not on who else asks.
"""

import random
import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.kit.schema import Input


class Operation(StrEnum):
    AUTHORISE = "authorise"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Fault(StrEnum):
    UNREACHED = "unreached"
    LOST = "lost"
    LATE = "late"
    ERROR = "error"
    TWICE = "twice"
    DECLINED = "declined"


_TOKEN = re.compile(r"tok_(?:(capture|void|refund)_)?(unreached|lost|late|error|twice|declined)")
_ONLY_AT: dict[Fault, tuple[Operation, ...]] = {
    Fault.TWICE: (Operation.AUTHORISE,),
    Fault.DECLINED: (Operation.AUTHORISE, Operation.CAPTURE),
}

Probability = Annotated[float, Field(ge=0, le=1)]


class Faults(Input):
    """What is drawn by lot; the probabilities of one operation's faults are added up, in the order given here."""

    seed: int = 0
    unreached: Probability = 0
    lost: Probability = 0
    late: Probability = 0
    error: Probability = 0
    twice: Probability = 0
    declined: Probability = 0
    operations: list[Operation] = Field(default_factory=lambda: list(Operation), description="where faults may strike")
    late_s: float = Field(default=3.0, ge=0, le=3600, description="seconds until a late command is done")
    silent_s: float = Field(
        default=30.0, ge=0, le=120, description="seconds without an answer: longer than callers wait"
    )

    def strikes(self, operation: Operation, about: str, attempt: int, token: str) -> Fault | None:
        """The fault of this attempt (the first one is 1), None when all goes well."""
        asked = _TOKEN.fullmatch(token)
        if asked and attempt == 1 and (asked[1] or Operation.AUTHORISE) == operation:
            return _at(Fault(asked[2]), operation)
        if operation not in self.operations:
            return None
        lot = random.Random(f"{self.seed}:{operation}:{about}:{attempt}").random()
        for fault in Fault:
            lot -= getattr(self, fault)
            if lot < 0:
                return _at(fault, operation)
        return None


def _at(fault: Fault, operation: Operation) -> Fault | None:
    return fault if operation in _ONLY_AT.get(fault, tuple(Operation)) else None
