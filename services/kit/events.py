"""What a service tells others of, as types: each service's `events.py` holds its own, and `EVENTS` names them all.

An event's type carries its version, such as `OrderPlaced.v1`. What a version holds is fixed once it has been published: a
changed shape is the next version, and a reader passes over types that it does not know. The documents that
`services.kit.event_schemas` writes (JSON Schema) are checked in, so that a changed shape shows in a review.

An event holds ids, states, times, money as text and the names of goods; nothing that tells who a person is. A log keeps it
for days, and no erasure reaches it there.
"""

from abc import abstractmethod
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict

_CENT = Decimal("0.01")


def _cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT)


Money = Annotated[Decimal, AfterValidator(_cents)]
"""Text with two decimals, however it was calculated."""


class Data(BaseModel):
    """A part of an event."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class Event(Data):
    """Something that happened. A subclass is one kind of it; its name is in the past tense."""

    aggregate: ClassVar[str]
    """What kind of thing it happened to: names the topic, `events.<aggregate>`."""
    version: ClassVar[int] = 1

    @property
    @abstractmethod
    def key(self) -> UUID:
        """Which thing it happened to: events of one key stay in order."""

    @classmethod
    def type(cls) -> str:
        return f"{cls.__name__}.v{cls.version}"

    def data(self) -> dict[str, Any]:
        """As JSON holds it, for the message."""
        return self.model_dump(mode="json")
