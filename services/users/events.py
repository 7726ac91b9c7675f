"""What users tells others of, in `events.users`: that something happened to a user, named by an id and nothing else.

Names, addresses, e-mails and what a password is made of are not told, nor which value a profile has: who may know asks.
"""

from typing import ClassVar, Literal
from uuid import UUID

from services.kit.events import Event
from services.kit.principal import Role

ProfileField = Literal["email", "full_name", "country", "marketing_consent"]


class UserEvent(Event):
    aggregate: ClassVar[str] = "users"

    user_id: UUID

    @property
    def key(self) -> UUID:
        return self.user_id


class UserRegistered(UserEvent):
    """There is a new user, with the role customer."""


class EmailConfirmed(UserEvent):
    """The user has shown that the e-mail is theirs."""


class ProfileChanged(UserEvent):
    """Which members of the profile were set; not to what."""

    members: tuple[ProfileField, ...]


class PasswordChanged(UserEvent):
    """All sessions from before it end."""


class RolesChanged(UserEvent):
    """All sessions from before it end."""

    before: tuple[Role, ...]
    after: tuple[Role, ...]


class UserErased(UserEvent):
    """The id means nobody from now on: who keeps something about the person removes it."""


EVENTS: tuple[type[Event], ...] = (
    UserRegistered,
    EmailConfirmed,
    ProfileChanged,
    PasswordChanged,
    RolesChanged,
    UserErased,
)
