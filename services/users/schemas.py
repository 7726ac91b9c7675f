"""The JSON of the users service."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from services.kit.schema import Country, Input, Name, Output, Patch, Text

Email = Annotated[Text, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
FullName = Annotated[Name, Field(max_length=200)]


class NewUser(Input):
    email: Email
    full_name: FullName
    country: Country
    marketing_consent: bool = False


class UserChange(Patch):
    email: Email | None = None
    full_name: FullName | None = None
    country: Country | None = None
    marketing_consent: bool | None = None


class User(Output):
    id: UUID
    email: str
    full_name: str
    country: str
    marketing_consent: bool
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
