"""`python -m services.users`: wire the users service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import Field

from services.kit.background import in_background
from services.kit.client import ServiceClient
from services.kit.mail import Mailer, SmtpUrl
from services.kit.pagination import Cursors
from services.kit.retention import KeptSettings, keep_sweeping, of_every_service
from services.kit.settings import Dsn
from services.kit.start import Check, opened, start
from services.kit.token_source import TokenSource
from services.users.accounts import Accounts, through
from services.users.api import build
from services.users.mail_tokens import MailTokens
from services.users.mailing import Post
from services.users.passwords import Passwords
from services.users.service import Users


class UsersSettings(KeptSettings):
    dsn: Dsn = Field(validation_alias="USERS_DSN", description="address of the users database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None, validation_alias="USERS_REPLICA_DSN", description="address of its replica, for lists"
    )
    client_secret: str = Field(
        validation_alias="USERS_CLIENT_SECRET", description="what proves to the sessions service that this is users"
    )
    smtp_url: SmtpUrl = Field(validation_alias="SMTP_URL", description="address of the mail server")
    mail_sender: str = Field(
        default="accounts@shop.example", validation_alias="MAIL_SENDER", description="From of the mails to users"
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: UsersSettings) -> AsyncIterator[Mapping[str, Check]]:
    auth = TokenSource(settings.sessions_url, "users", settings.client_secret)
    async with (
        opened(app, "users", settings, settings.dsn, settings.replica_dsn) as (database, checks),
        ServiceClient("sessions", settings.sessions_url, auth=auth) as sessions,
    ):
        limiter, passwords, tokens = app.state.limiter, Passwords(), MailTokens(settings.dsn)
        app.state.service = Users(database.primary, database.replica, Cursors(settings.dsn), passwords)
        app.state.accounts = Accounts(database.primary, passwords, tokens, limiter, through(sessions))
        post = Post(database.primary, Mailer(settings.smtp_url), tokens, settings.mail_sender)
        sweeping = keep_sweeping(*of_every_service(database.primary, settings))
        async with in_background(post.keep_sending()), in_background(sweeping):
            yield checks


if __name__ == "__main__":
    start("users", UsersSettings, build, wiring)
