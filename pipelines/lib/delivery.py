"""Sending an alert: an e-mail to its owner, and a JSON document to a webhook where one is set.

Who is told what stands in `defs/alerts/routes.yaml`; addresses of servers come from the environment. It keeps nothing: a
delivery that failed is the caller's to repeat, and may then arrive twice.
"""

import os
import smtplib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import yaml

from pipelines.lib.alerts import Event, Message

FILE = Path(__file__).parents[1] / "defs" / "alerts" / "routes.yaml"
TIMEOUT = 10.0
"""Seconds that a server may take."""


@dataclass(frozen=True)
class Routes:
    """Who is told. `otherwise` owns what nobody else does; `webhooks` names the variable with the address, by owner."""

    sender: str
    otherwise: str
    repeat_after_hours: float
    webhooks: dict[str, str]

    @property
    def repeat_after(self) -> float:
        """Seconds."""
        return self.repeat_after_hours * 3600

    def webhook(self, owner: str) -> str | None:
        """Address of the owner's webhook, or of everybody's; None where no variable is set."""
        return os.environ.get(self.webhooks.get(owner, ""), os.environ.get(self.webhooks.get("*", ""))) or None


@cache
def routes() -> Routes:
    """The file's routes."""
    return Routes(**yaml.safe_load(FILE.read_text()))


def deliver(message: Message) -> str | None:
    """Send by every way that is set. None, or why one of them could not."""
    problems = []
    if smtp := os.environ.get("SMTP_URL"):
        try:
            send_mail(smtp, mail(message))
        except (OSError, smtplib.SMTPException) as error:
            problems.append(f"mail by {urlsplit(smtp).hostname}: {error}")
    if webhook := routes().webhook(message.alert.owner):
        try:
            httpx.post(webhook, json=document(message), timeout=TIMEOUT).raise_for_status()
        except httpx.HTTPError as error:
            problems.append(f"webhook of {message.alert.owner}: {type(error).__name__}")
    if not smtp and not webhook:
        problems.append("neither SMTP_URL nor a webhook is set")
    return "; ".join(problems) or None


def subject(message: Message) -> str:
    """One line for a telephone's screen."""
    return f"[{message.event.value}] {message.alert.what}"


def document(message: Message) -> dict[str, object]:
    """What a webhook gets; `text` alone is enough for a chat."""
    return {
        "text": f"{subject(message)}\n{message.alert.means}\n{message.alert.page}",
        "event": message.event.value,
        "key": message.alert.key,
        "owner": message.alert.owner,
        "what": message.alert.what,
        "means": message.alert.means,
        "findings": list(message.alert.findings),
        "runbook": message.alert.page,
        "link": message.alert.link,
        "since": since(message),
    }


def mail(message: Message) -> EmailMessage:
    """The same as an e-mail; all mails about one alert stand in one thread."""
    alert = message.alert
    made = EmailMessage()
    made["From"] = routes().sender
    made["To"] = alert.owner
    made["Subject"] = subject(message)
    made["References"] = f"<{alert.key.replace(' ', '-').replace('/', '.')}.{message.since:.0f}@millrace>"
    lines = [alert.means, "", *(f"  {finding}" for finding in alert.findings), "", f"since {since(message)}"]
    if message.event is not Event.OVER:
        lines.append(f"what to do: {alert.page}")
    if alert.link:
        lines.append(alert.link)
    made.set_content("\n".join(lines) + "\n")
    return made


def since(message: Message) -> str:
    """When the alert was opened, in UTC."""
    return f"{datetime.fromtimestamp(message.since, UTC):%Y-%m-%d %H:%M:%S} UTC"


def send_mail(url: str, message: EmailMessage) -> None:
    """Hand one message to the server. Raises OSError or SMTPException when it was not taken."""
    parts = urlsplit(url)
    kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    with kind(parts.hostname or "", parts.port or 0, timeout=TIMEOUT) as server:
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
