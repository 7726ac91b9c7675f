"""What the stack's mail server has kept."""

import email
import mailbox
from email import policy
from email.message import EmailMessage
from pathlib import Path

from tests.integration.services.shop import Shop


def kept(shop: Shop, order_id: str) -> list[EmailMessage]:
    """The confirmations of an order."""
    folder = mailbox.Maildir(Path(shop.env["MILLRACE_HOME"]) / "mail", create=False)
    found = (folder.get_bytes(key) for key in folder.iterkeys())
    return [
        email.message_from_bytes(content, policy=policy.default) for content in found if order_id.encode() in content
    ]
