"""`python -m stack.mail_catcher`: the stack's mail server. Takes every message and keeps it; delivers none.

Listens on 127.0.0.1:$PORT and keeps a Maildir in $MILLRACE_HOME/mail, which any mail program and Python's `mailbox`
read. A message is answered with 250 once its file is on disk. The envelope's recipients stand in `X-RcptTo`.
"""

import asyncio
import mailbox
import os
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_BYTES = 10 * 1024 * 1024


class Keeper:
    """What aiosmtpd asks when a message has been received."""

    def __init__(self, folder: Path) -> None:
        self._maildir = mailbox.Maildir(folder, create=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        recipients = ", ".join(envelope.rcpt_tos)
        try:
            self._maildir.add(f"X-RcptTo: {recipients}\r\n".encode() + content)
        except OSError as error:
            return f"451 not kept: {error.strerror}; try again"
        return "250 kept"


async def serve(folder: Path, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    keeper = Keeper(folder)
    server = await loop.create_server(
        lambda: SMTP(keeper, data_size_limit=MAX_BYTES, enable_SMTPUTF8=True, hostname="mail.millrace.example"),
        "127.0.0.1",
        port,
    )
    async with server:
        await ended.wait()


def main() -> None:
    home, port = Path(os.environ["MILLRACE_HOME"]), int(os.environ["PORT"])
    asyncio.run(serve(home / "mail", port))


if __name__ == "__main__":
    main()
