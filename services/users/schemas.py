"""The JSON of the users service."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from services.kit.schema import Country, Flag, Input, Name, Output, Patch, Text
from services.users.accounts_schemas import NewPassword

_CHARACTER = r"[^@\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""No control character and no blank, each by its number: what `\\s` means differs between those who read the document."""
Email = Annotated[str, Field(max_length=254, pattern=rf"^{_CHARACTER}+@{_CHARACTER}+\.{_CHARACTER}+$")]
FullName = Annotated[Name, Field(max_length=200)]


class NewUser(Input):
    email: Email
    full_name: FullName
    country: Country
    marketing_consent: Flag = False
    password: NewPassword | None = Field(
        default=None, description="only an operator may leave it out, to register somebody else"
    )


class UserChange(Patch):
    email: Email | None = None
    full_name: FullName | None = None
    country: Country | None = None
    marketing_consent: Flag | None = None


class User(Output):
    id: UUID
    email: str
    full_name: str
    country: str
    marketing_consent: bool
    email_verified_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class NewAddress(Input):
    kind: Literal["shipping", "billing"]
    line1: Annotated[Name, Field(max_length=200)]
    line2: Annotated[Text, Field(max_length=200)] | None = None
    postal_code: Annotated[Name, Field(max_length=20)]
    city: Annotated[Name, Field(max_length=100)]
    country: Country


class AddressChange(Patch):
    nullable: ClassVar[frozenset[str]] = frozenset({"line2"})

    kind: Literal["shipping", "billing"] | None = None
    line1: Annotated[Name, Field(max_length=200)] | None = None
    line2: Annotated[Text, Field(max_length=200)] | None = None
    postal_code: Annotated[Name, Field(max_length=20)] | None = None
    city: Annotated[Name, Field(max_length=100)] | None = None
    country: Country | None = None


class Address(Output):
    id: UUID
    user_id: UUID
    kind: str
    line1: str
    line2: str | None
    postal_code: str
    city: str
    country: str
    created_at: datetime
    updated_at: datetime


class Addresses(Output):
    items: list[Address]
