"""The JSON of accounts: passwords, codes, roles."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from services.kit.principal import PEOPLES, Role
from services.kit.schema import Input, Output, Text


def _for_people(role: Role) -> Role:
    if role not in PEOPLES:
        raise ValueError("is a role of services, not of people")
    return role


NewPassword = Annotated[Text, Field(min_length=12, max_length=256, description="12 characters or more, any")]
AnyPassword = Annotated[Text, Field(min_length=1, max_length=256)]
AnyEmail = Annotated[Text, Field(min_length=1, max_length=254)]
Code = Annotated[Text, Field(min_length=1, max_length=1000, description="as it was mailed")]


class LoginData(Input):
    email: AnyEmail
    password: AnyPassword


class Account(Output):
    user_id: UUID
    roles: list[str]
    epoch: int = Field(description="raised when everything granted before has ended")


class PasswordChange(Input):
    current_password: AnyPassword
    new_password: NewPassword


class ResetRequest(Input):
    email: AnyEmail


class PasswordReset(Input):
    code: Code
    new_password: NewPassword


class EmailVerification(Input):
    code: Code


class Roles(Input):
    roles: Annotated[
        list[Annotated[Role, AfterValidator(_for_people), WithJsonSchema({"enum": sorted(PEOPLES)})]],
        Field(min_length=1, max_length=len(PEOPLES), description="customer, support, operator, admin, analyst"),
    ]

    model_config = ConfigDict(from_attributes=True)


class RoleChange(Output):
    before: list[str]
    after: list[str]
    changed_by: str
    changed_at: datetime


class RoleChanges(Output):
    items: list[RoleChange]
