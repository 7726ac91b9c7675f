"""Redis: one server with a password and an append-only file."""

from collections.abc import Mapping

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.process import Node, Process
from stack.secrets import write_private
from stack.settings import Settings

SERVER_SETTINGS = """
protected-mode yes
daemonize no
# a title of its own would be written over the environment, by which its process is known to be ours
set-proc-title no
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy volatile-lru
"""


def nodes(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[Node]:
    """The server."""
    folder = settings.home / "redis"
    port = settings.port(OFFSETS["redis"])

    def prepare() -> None:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        write_private(
            folder / "redis.conf",
            f'bind {HOST}\nport {port}\nrequirepass {secrets["redis"]}\ndir "{folder / "data"}"\n{SERVER_SETTINGS}',
        )

    return [
        Process(
            name="redis",
            command=(str(parts.redis().path), str(folder / "redis.conf")),
            health=health.redis(variables["REDIS_URL"]),
            ports=(port,),
            parts=(parts.redis(),),
            prepare=prepare,
        )
    ]
