"""The contract's variables and the documents made of them."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from stack.environment import contract, document, selected, shell
from stack.ports import OFFSETS
from stack.secrets import NAMES
from stack.settings import PORT_SPAN, Settings

SECRETS = {name: f"secret-of-{name}" for name in NAMES}
VARIABLES = contract(Settings(home=Path("/somewhere/state"), port_base=23000), SECRETS)


def test_no_two_sockets_share_a_port_and_all_are_in_the_span() -> None:
    assert max(Counter(OFFSETS.values()).values()) == 1
    assert all(0 <= offset < PORT_SPAN for offset in OFFSETS.values())


def test_every_address_follows_from_the_port_base() -> None:
    assert VARIABLES["USERS_DSN"] == "postgresql://users:secret-of-users@127.0.0.1:23000/users"
    assert VARIABLES["USERS_REPLICA_DSN"] == "postgresql://users:secret-of-users@127.0.0.1:23001/users"
    assert VARIABLES["ORDERS_CDC_DSN"] == "postgresql://cdc:secret-of-cdc@127.0.0.1:23000/orders"
    assert VARIABLES["PAYMENT_PROVIDER_URL"] == "http://127.0.0.1:23014"
    assert VARIABLES["CLICKHOUSE_NATIVE_PORT"] == "23009"


def test_the_document_has_the_promised_shape() -> None:
    made = document(VARIABLES)
    servers = ["postgres", "clickhouse", "elasticsearch", "kafka", "connect", "redis", "mail", "services", "dagster"]
    assert list(made) == [*servers, "superset", "status_page"]
    assert {"users", "products", "orders", "payments", "admin", "replica"} <= set(made["postgres"])
    assert set(made["clickhouse"]) == {"http", "native_port", "user", "password"}
    assert made["clickhouse"]["user"] == "reader"
    assert made["services"]["payment-provider"] == "http://127.0.0.1:23014"


def test_a_process_sees_only_what_it_was_given() -> None:
    assert set(selected(VARIABLES, ["USERS_DSN"])) == {"MILLRACE_HOME", "MILLRACE_PORT_BASE", "USERS_DSN"}


@pytest.mark.parametrize("value", ["plain", "two words", "it's", '$HOME `id` \\ "x"'])
def test_the_shell_reads_back_what_was_written(value: str) -> None:
    script = shell({"PROBE": value}) + '\nprintf %s "$PROBE"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value
