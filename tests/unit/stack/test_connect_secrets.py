"""What Connect reads passwords and the masks' key from, before any connector starts."""

from collections import defaultdict
from pathlib import Path

from stack.environment import contract
from stack.process import Process
from stack.processes import kafka
from stack.settings import Settings


def test_a_start_of_connect_keeps_what_apply_has_put_there_and_has_the_key(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port_base=24000)
    secrets: defaultdict[str, str] = defaultdict(lambda: "own")
    [connect] = [node for node in kafka.nodes(settings, secrets, contract(settings, secrets)) if node.name == "connect"]
    assert isinstance(connect, Process)
    connect.prepare()
    path = tmp_path / "connect-secrets" / "sources.properties"
    first = set(path.read_text().splitlines())
    assert {"orders_password=own", "mask_key=own"} <= first
    path.write_text(path.read_text() + "shop_password=another\n")
    connect.prepare()
    assert set(path.read_text().splitlines()) == first | {"shop_password=another"}
