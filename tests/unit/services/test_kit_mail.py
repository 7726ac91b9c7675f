"""Sending e-mail: to a real SMTP server in this process, that takes, postpones, refuses or is away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.kit.mail import Mailer, MailRefused, MailUnavailable, SmtpUrl
from services.kit.settings import Settings


def message(recipient: str = "ada@example.org") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "shop@example.org", recipient, "Grüße"
    made.set_content("Guten Tag, Ada.\n")
    return made


class Answers:
    """Answers to the recipient by its local part, such as `550@example.org`; keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        local = address.partition("@")[0]
        if local.isdecimal():
            return f"{local} as asked"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        return "250 kept"


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(answers, hostname="localhost"), "127.0.0.1", 0)
    async with server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_the_server_gets_the_message() -> None:
    answers = Answers()

    async def run() -> None:
        async with serving(answers) as url:
            await Mailer(url).send(message())

    asyncio.run(run())
    [taken] = answers.taken
    assert b"To: ada@example.org" in taken and b"Subject: =?utf-8?" in taken


@pytest.mark.parametrize(
    ("recipient", "error"),
    [("450@example.org", MailUnavailable), ("451@example.org", MailUnavailable), ("550@example.org", MailRefused)],
)
def test_a_refusal_says_whether_trying_again_helps_and_names_nobody(recipient: str, error: type[Exception]) -> None:
    answers = Answers()

    async def run() -> None:
        async with serving(answers) as url:
            with pytest.raises(error) as raised:
                await Mailer(url).send(message(recipient))
        assert recipient not in str(raised.value)

    asyncio.run(run())
    assert answers.taken == []


def test_a_server_that_is_away_is_transient() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"smtp://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(MailUnavailable, match="try again"):
            asyncio.run(Mailer(url).send(message()))


@pytest.mark.parametrize("url", ["localhost:25", "http://localhost", "smtp://"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    class Sending(Settings):
        smtp_url: SmtpUrl

    with pytest.raises(ValueError, match="not an address such as smtp://"):
        Sending.model_validate({"PORT": 1, "smtp_url": url})
