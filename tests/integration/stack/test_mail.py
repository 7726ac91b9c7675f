"""The stack's mail server: what it has answered with 250 is in the Maildir."""

import asyncio
import email
import mailbox
from email import policy
from email.message import EmailMessage
from uuid import uuid4

from services.kit.mail import Mailer
from tests.conftest import Stack


def test_a_sent_message_is_kept(stack: Stack) -> None:
    message = EmailMessage(policy=policy.SMTPUTF8)
    message["From"], message["To"], message["Subject"] = "shop@example.org", "zoë@example.org", f"Kept {uuid4()}"
    message.set_content("Zoë's order: 1 × café au lait")
    asyncio.run(Mailer(stack.env["SMTP_URL"]).send(message))
    folder = mailbox.Maildir(stack.settings.home / "mail", create=False)
    all_kept = [email.message_from_bytes(folder.get_bytes(key), policy=policy.SMTPUTF8) for key in folder.iterkeys()]
    [kept] = [one for one in all_kept if one["Subject"] == message["Subject"]]
    assert kept["X-RcptTo"] == "zoë@example.org"
    assert "café au lait" in kept.get_content()
