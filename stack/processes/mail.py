"""The mail server: keeps what the services send in a Maildir, delivers nothing."""

import sys
from collections.abc import Mapping

from stack import health
from stack.environment import selected
from stack.ports import OFFSETS
from stack.process import Node, Process
from stack.settings import Settings


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """The one server."""
    port = settings.port(OFFSETS["mail"])
    return [
        Process(
            name="mail",
            command=(sys.executable, "-m", "stack.mail_catcher"),
            health=health.smtp(variables["SMTP_URL"]),
            ports=(port,),
            environment={**selected(variables, ()), "PORT": str(port)},
        )
    ]
