"""Two ClickHouse servers of a test's own that know each other as a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickhouse_connect.driver.client import Client

from cdc import clickhouse
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.settings import PORT_SPAN
from tests.own_clickhouse_server import PASSWORD, OwnClickHouseServer

CLUSTER = "two_shards"
_SHARD = (
    "<shard><internal_replication>true</internal_replication><replica><host>{}</host><port>{}</port></replica></shard>"
)


class Shard(OwnClickHouseServer):
    """One of the servers, which knows all by their native ports."""

    def __init__(self, home: Path, port_base: int, native: list[int]) -> None:
        super().__init__(home, port_base)
        shards = "".join(_SHARD.format(HOST, port) for port in native)
        known = (
            f"<remote_servers><{CLUSTER}><secret>shards</secret>{shards}</{CLUSTER}></remote_servers>\n</clickhouse>"
        )
        configuration = self.folder / "config.xml"
        configuration.write_text(configuration.read_text().replace("</clickhouse>", known))

    @property
    def client(self) -> Client:
        """A client of this server alone."""
        return clickhouse.connect(self.url, PASSWORD)


@contextmanager
def two_shards(home: Path, port_base: int) -> Iterator[tuple[Shard, Shard]]:
    """The cluster, fresh; gone afterwards. Its servers are supervised: of the library build, one ends when the other is killed while
    they speak (docs/limits.md)."""
    bases = [port_base, port_base + PORT_SPAN]
    native = [base + OFFSETS["clickhouse-native"] for base in bases]
    one, other = (Shard(home / str(number), base, native) for number, base in enumerate(bases))
    try:
        for shard in (one, other):
            shard.start()
        with one.supervised(), other.supervised():
            yield one, other
    finally:
        for shard in (one, other):
            shard.stop()
