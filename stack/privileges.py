"""Running PostgreSQL and Elasticsearch as an ordinary user when the stack is started by root: both refuse root.

Only these two drop to another user, by `setpriv`; nothing is dropped, and nothing needed, when the stack is started
by an ordinary user. It never changes the rights of a folder outside the state folder: when the other user could not
reach the checkout (a clone below a folder of mode 700), the process keeps the one capability that lets it pass.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stack.errors import CheckFailed

CAPABILITY_BITS = {"dac_read_search": 2, "dac_override": 1}
"""Linux capabilities that let a process pass folders closed to it, the weaker one first."""


FOR_ACCESS_TOO = ("--securebits=+no_setuid_fixup",)
"""Without it the kernel disregards capabilities in access(2), with which Java asks before it opens a file."""


@dataclass(frozen=True)
class Account:
    """Who runs the servers that refuse root."""

    name: str
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """uid and gid, as chown wants them."""
        return self.uid, self.gid


def server_account() -> Account:
    """`postgres` (or `nobody`) when we are root, ourselves otherwise."""
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise CheckFailed("no user `postgres` or `nobody` to run the servers that refuse root: adduser --system postgres")


def unprivileged(command: tuple[str, ...], *, reach: tuple[Path, ...]) -> tuple[str, ...]:
    """The command as server_account() runs it; `reach` are paths that it must be able to come to.

    Raises CheckFailed when we are root and there is no way to step down.
    """
    return (*_stepping_down(tuple(map(_nearest_existing, reach))), *command) if os.geteuid() == 0 else command


@cache
def _stepping_down(reach: tuple[Path, ...]) -> tuple[str, ...]:
    if shutil.which("setpriv") is None:
        raise CheckFailed("setpriv is missing: apt-get install util-linux (or start the stack as an ordinary user)")
    account = server_account()
    drop = ("setpriv", f"--reuid={account.name}", f"--regid={account.gid}", "--init-groups")
    if _can_reach(drop, reach):
        return drop
    for capability in _held_capabilities():
        keep = (*drop, f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", *FOR_ACCESS_TOO)
        if _can_reach(keep, reach):
            return keep
    raise CheckFailed(
        f"user {account.name} cannot enter {reach[0]}: move the checkout to a folder open to others (chmod o+x)"
    )


def _nearest_existing(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def _can_reach(prefix: tuple[str, ...], paths: tuple[Path, ...]) -> bool:
    command = (*prefix, "sh", "-c", 'for path; do test -x "$path" || test -r "$path" || exit 1; done', "sh")
    return subprocess.run([*command, *map(str, paths)], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _held_capabilities() -> list[str]:
    status = Path("/proc/self/status").read_text()
    permitted = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm")), 16)
    return [name for name, bit in CAPABILITY_BITS.items() if permitted >> bit & 1]
