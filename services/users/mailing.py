"""Mails of the account, sent after the change that asked for them has been committed, and until the server takes them.

A row of `service.outgoing_mails` is written in the transaction of its cause and says only whom to write and why: the
code is made when the mail is sent, and stands in no table and no log. A mail may arrive twice, never not at all.
"""

import asyncio
import logging
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from services.kit.db import Primary, Transaction
from services.kit.ids import uuid7
from services.kit.mail import Mailer, MailRefused, MailUnavailable
from services.users.mail_tokens import LIFETIMES_S, Kind, MailTokens, Ticket, hash_of

_POLL_S = 0.5
_LAST_ATTEMPT = 20

logger = logging.getLogger("services.users.mailing")

TEXTS: dict[Kind, tuple[str, str]] = {
    "verify-email": (
        "Confirm your e-mail address",
        "Welcome to the shop.\n\nTo confirm that this address is yours, enter this code within {hours} hours:\n\n{code}\n\n"
        "If you did not register, there is nothing to do.\n",
    ),
    "reset-password": (
        "Choose a new password",
        "To choose a new password, enter this code within {hours} hour:\n\n{code}\n\n"
        "If you did not ask for this, there is nothing to do: your password stays as it is.\n",
    ),
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    id: UUID
    user_id: UUID
    kind: Kind
    attempts: int
    email: str
    epoch: int


async def enqueue(transaction: Transaction, user_id: UUID, kind: Kind) -> None:
    """Have the mail sent once the transaction is committed."""
    await transaction.execute(
        "INSERT INTO service.outgoing_mails (id, user_id, kind) VALUES (%s, %s, %s)", [uuid7(), user_id, kind]
    )


class Post:
    """Sends what is due. Several processes share the work: each takes rows that no other holds."""

    def __init__(self, primary: Primary, mailer: Mailer, tokens: MailTokens, sender: str) -> None:
        self._primary = primary
        self._mailer = mailer
        self._tokens = tokens
        self._sender = sender

    async def keep_sending(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                sent = await self.send_one()
            except (psycopg.OperationalError, PoolTimeout) as error:
                logger.warning("mails wait: the database: %s", type(error).__name__)
                sent = False
            if not sent:
                await asyncio.sleep(_POLL_S)

    async def send_one(self) -> bool:
        """Whether a mail was due. It leaves the table when it was sent or is refused for good."""
        async with self._primary.transaction() as transaction:
            due = await transaction.one(
                Outgoing,
                """SELECT mail.id, mail.user_id, mail.kind, mail.attempts, users.email, credentials.epoch
                   FROM service.outgoing_mails AS mail
                   JOIN users ON users.id = mail.user_id JOIN service.credentials ON credentials.user_id = users.id
                   WHERE mail.not_before <= now() ORDER BY mail.not_before LIMIT 1 FOR UPDATE OF mail SKIP LOCKED""",
            )
            if due is None:
                return False
            fault = await self._fault(due)
            if fault is not None and not isinstance(fault, MailRefused) and due.attempts < _LAST_ATTEMPT:
                await transaction.execute(
                    """UPDATE service.outgoing_mails SET attempts = attempts + 1,
                           not_before = now() + least(interval '1 second' * 2 ^ attempts, interval '1 hour')
                       WHERE id = %s""",
                    [due.id],
                )
                return True
            if fault is not None:
                logger.warning("mail %s of user %s is given up: %s", due.kind, due.user_id, type(fault).__name__)
            await transaction.execute("DELETE FROM service.outgoing_mails WHERE id = %s", [due.id])
            return True

    async def _fault(self, due: Outgoing) -> Exception | None:
        """Why the mail was not sent. Whatever it is, it must not keep back the others: it is tried again later."""
        try:
            await self._mailer.send(self._message(due))
        except (MailUnavailable, MailRefused) as error:
            return error
        except Exception as error:  # noqa: BLE001 - see above; an address may be one that no header can hold
            logger.warning("mail %s of user %s: %s", due.kind, due.user_id, type(error).__name__)
            return error
        return None

    def _message(self, due: Outgoing) -> EmailMessage:
        code = self._tokens.write(Ticket(due.kind, due.user_id, due.epoch, hash_of(due.email)))
        subject, text = TEXTS[due.kind]
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, due.email, subject
        # The row's id: a mail that arrives twice can be seen to be the same.
        message["Message-ID"] = f"<{due.id}@{self._sender.rpartition('@')[2]}>"
        message.set_content(text.format(code=code, hours=LIFETIMES_S[due.kind] // 3600), cte="7bit")
        return message
