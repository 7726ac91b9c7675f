"""The JSON of the sessions service."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from services.kit.schema import Input, Name, Output, Text

SessionId = Annotated[Text, Field(max_length=100, description="as POST /sessions gave it")]


class Login(Input):
    email: Annotated[Text, Field(min_length=1, max_length=254)]
    password: Annotated[Text, Field(min_length=1, max_length=256)]
    device: Annotated[Name, Field(max_length=100)] | None = Field(
        default=None, description="how the list of sessions calls it; the User-Agent when left out"
    )


class NewSession(Output):
    session: str = Field(description="the secret id, also set as the cookie `session`; it is shown only here")
    user_id: UUID
    reference: str
    expires_at: datetime = Field(description="when it ends at the latest")


class OwnSession(Output):
    reference: str = Field(description="names the session, but does not open it")
    device: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool = Field(description="whether this is the session that asks")


class OwnSessions(Output):
    items: list[OwnSession]


class SessionGrant(Input):
    grant: Literal["session"]
    session: SessionId | None = Field(default=None, description="the cookie `session` when left out")


class ClientGrant(Input):
    grant: Literal["client_credentials"]
    client_id: Annotated[Text, Field(min_length=1, max_length=64)]
    client_secret: Annotated[Text, Field(min_length=1, max_length=256)]


Grant = Annotated[SessionGrant | ClientGrant, Field(discriminator="grant")]


class Token(Output):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind, not a secret
    expires_in: int = Field(description="seconds")


class PublicKey(Output):
    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class KeySet(Output):
    keys: list[PublicKey]
