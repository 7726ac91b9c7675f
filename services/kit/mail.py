"""Sending an e-mail by SMTP, with errors that say whether trying again makes sense.

    MailUnavailable  transient: the server is away, busy or does not accept our credentials; the same message may be
                     sent again, and may arrive twice (a Message-ID of its own lets the reader's program see that)
    MailRefused      permanent: this message or its recipient is not taken; sending it again changes nothing

Refuses to queue: a caller that must not lose a message keeps it and calls again. A message has one recipient.
"""

from email.message import EmailMessage
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from pydantic import AfterValidator

from services.kit.problem import Unavailable, Unprocessable

TIMEOUT_S = 10.0
_SCHEMES = {"smtp": 25, "smtps": 465}
_PERMANENT = 500


class MailUnavailable(Unavailable):
    slug = "mail-unavailable"


class MailRefused(Unprocessable):
    slug = "mail-refused"


def _address(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("not an address such as smtp://host:port or smtps://user:password@host")
    return parts


def _checked(url: str) -> str:
    _address(url)
    return url


SmtpUrl = Annotated[str, AfterValidator(_checked)]


class Mailer:
    """Sends through one server, a connection for each message. `smtps` is TLS from the first byte."""

    def __init__(self, smtp_url: str) -> None:
        parts = _address(smtp_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _SCHEMES[parts.scheme]
        self._tls = parts.scheme == "smtps"
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, message: EmailMessage) -> None:
        """Return when the server has taken the message over. Raises MailUnavailable or MailRefused."""
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                timeout=TIMEOUT_S,
                use_tls=self._tls,
                start_tls=None if not self._tls else False,
                username=self._user,
                password=self._password,
            )
        except aiosmtplib.SMTPAuthenticationError as error:
            raise MailUnavailable(
                f"the mail server does not know us ({error.code}); mend the setting SMTP_URL"
            ) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(max(refused.code for refused in error.recipients)) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error.code) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise MailRefused("the mail server cannot carry this message; its log says more") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"the mail server did not answer ({type(error).__name__}); try again") from error


def _refusal(code: int) -> MailUnavailable | MailRefused:
    # The server's own words may repeat the recipient's address, which belongs into no log.
    if code >= _PERMANENT:
        return MailRefused(f"the mail server refused the message for good (status {code})")
    return MailUnavailable(f"the mail server refused the message for now (status {code}); try again")
