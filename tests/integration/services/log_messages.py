"""The events that stand in a database's log, read there by a slot of the test's own: without Connect and Kafka."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.kit import outbox
from services.kit.event_schemas import events
from tests.integration.services.shop import Shop

_MESSAGE = re.compile(r"^message: transactional: 1 prefix: (\S+), sz: \d+ content:(.*)$", re.DOTALL)


class Told:
    """Events that were committed since it began, in the order of their commits."""

    def __init__(self, service: str, connection: psycopg.Connection[tuple[str]], slot: str) -> None:
        self._kinds = {kind.type(): kind for kind in events(service)}
        self._connection = connection
        self._slot = slot

    def all(self) -> list[dict[str, Any]]:
        """The messages since the last look; each is as its document says."""
        rows = self._connection.execute(
            "SELECT data FROM pg_logical_slot_get_changes(%s, NULL, NULL, 'include-xids', '0')", [self._slot]
        )
        found = [match for (line,) in rows if (match := _MESSAGE.match(line)) and match[1] == outbox.PREFIX]
        messages = [json.loads(match[2]) for match in found]
        for message in messages:
            kind = self._kinds[message["type"]]
            event = kind.model_validate(message["data"])
            assert (message["aggregate"], message["key"]) == (kind.aggregate, str(event.key)), message
            assert event.data() == message["data"]
        return messages

    def of(self, thing: str) -> list[tuple[str, dict[str, Any]]]:
        """(type, data) of what was told of this thing since the last look."""
        return [(message["type"], message["data"]) for message in self.all() if message["key"] == thing]


@contextmanager
def told_by(shop: Shop, service: str) -> Iterator[Told]:
    """What the service tells during the block, whoever makes it do so."""
    database = conninfo_to_dict(shop.env[f"{service.upper()}_DSN"])["dbname"]
    slot = f"told_{uuid4().hex}"
    with psycopg.connect(make_conninfo(shop.env["POSTGRES_ADMIN_DSN"], dbname=database), autocommit=True) as admin:
        admin.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding', true)", [slot])
        yield Told(service, admin, slot)
