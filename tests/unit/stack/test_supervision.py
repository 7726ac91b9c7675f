"""The supervisor's settings file, read back by supervisor itself."""

import os
from pathlib import Path

from supervisor.options import ServerOptions

from stack.process import Process
from stack.settings import Settings
from stack.supervision import render

AWKWARD = Process(
    name="awkward",
    command=("/bin/echo", "two words", "100%", "it's"),
    health=lambda: None,
    environment={"RATE": "50%", "DSN": "postgresql://u:p@127.0.0.1:1/x?a=b,c", "PATH_LIST": "a:b;c"},
    stop_signal="INT",
    signal_group=False,
    stop_seconds=7,
)


def read_back(tmp_path: Path) -> ServerOptions:
    settings = Settings(home=tmp_path, port_base=23000)
    settings.logs.mkdir()
    (tmp_path / "supervisor").mkdir()
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(render(settings, "pass%word", [AWKWARD]))
    options = ServerOptions()
    options.realize(["-c", str(configuration), *([] if os.geteuid() else ["-u", "root"])])
    return options


def test_what_supervisor_reads_is_what_was_described(tmp_path: Path) -> None:
    options = read_back(tmp_path)
    (group,) = options.process_group_configs
    (program,) = group.process_configs
    assert program.command == "/bin/echo 'two words' 100% 'it'\"'\"'s'"
    assert program.environment["RATE"] == "50%"
    assert program.environment["DSN"] == "postgresql://u:p@127.0.0.1:1/x?a=b,c"
    assert program.environment["MILLRACE_PROCESS"] == "awkward"
    assert (program.autostart, program.stopwaitsecs, program.stopasgroup, program.killasgroup) == (
        False,
        7,
        False,
        True,
    )


def test_the_control_port_is_on_loopback_and_has_a_password(tmp_path: Path) -> None:
    (server,) = read_back(tmp_path).server_configs
    assert (server["host"], server["port"]) == ("127.0.0.1", 23030)
    assert (server["username"], server["password"]) == ("millrace", "pass%word")
