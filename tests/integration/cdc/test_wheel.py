"""The built wheel on its own: no checkout, no stack's command, only addresses in the environment and a source file."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import throw_away_source
from stack import parts
from stack.settings import ROOT
from tests.integration.cdc.conftest import run
from tests.integration.cdc.engine_processes import engine_process
from tests.integration.cdc.waiting import eventually

ADDRESSES = (
    "MILLRACE_STATE_DSN", "KAFKA_BOOTSTRAP", "CONNECT_URL", "CONNECT_SECRETS_FILE", "CLICKHOUSE_URL",
    "CLICKHOUSE_CDC_PASSWORD", "ELASTICSEARCH_URL",
)  # fmt: skip
MODULES = ("cdc.sinks.clickhouse", "cdc.documents", "cdc.keeper")
NAME = "wheel"


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds the wheel, and an empty folder to work in."""

    programs: Path
    wheel: Path
    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.programs / "python"

    def millrace(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command in the folder, with this environment alone."""
        return subprocess.run(
            [str(self.programs / "millrace"), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, built from a copy of the tree and installed without its dependencies: those are the locked ones."""
    tree, made, fresh, folder = (tmp_path_factory.mktemp(name) for name in ("tree", "made", "fresh", "folder"))
    for name in ("cdc", "stack", "bench", "services"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tree / name)
    uv, programs = Path(sys.executable).parent / "uv", fresh / "bin"
    _run(uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", made, tree)
    [wheel] = made.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", fresh)
    _run(uv, "pip", "install", "--quiet", "--no-deps", "--offline", "--python", programs / "python", wheel)
    [packages] = fresh.glob("lib/python*/site-packages")
    # A path in such a file is searched, but its own path files, the checkout's among them, are not read.
    (packages / "locked.pth").write_text(str(Path(pytest.__file__).parent.parent))
    return Installed(programs, wheel, folder)


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_holds_the_engine_and_its_command_line_and_nothing_of_the_shop(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as content:
        names = content.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"cdc", "stack"}
    assert not [name for name in names if name.endswith(".yaml")]
    for pattern in (
        "migrations/*.sql",
        "connect/*/millrace/*.java",
        "**/*.py",
        "page/*.md",
        "page/assets/*",
        "page/templates/*",
    ):
        kept = {str(path.relative_to(ROOT)) for path in (ROOT / "cdc").glob(pattern)}
        assert kept and kept <= set(names)


@pytest.mark.parametrize("command", ["up", "status", "demo", "bench"])
def test_commands_that_need_the_repository_say_so_in_one_line(installed: Installed, command: str) -> None:
    done = installed.millrace(command)
    assert done.returncode == 2
    assert done.stderr.startswith(f"millrace: `millrace {command}` needs Millrace's repository")
    assert len(done.stderr.splitlines()) == 1
    assert f" {command} " not in installed.millrace("--help").stdout


def test_a_missing_address_is_named(installed: Installed) -> None:
    done = installed.millrace("cdc", "status")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in ADDRESSES)


def test_its_classes_are_compiled_into_a_connect_plugin(installed: Installed, tmp_path: Path) -> None:
    plugin = tmp_path / "debezium"
    shutil.copytree(parts.DEBEZIUM.path, plugin, ignore=shutil.ignore_patterns("millrace*", ".stamp*"))
    [compiler] = parts.KAFKA.path.with_name("compiler").glob("ecj-*.jar")
    arguments = ("cdc", "connect-plugin", str(plugin), "--compiler", str(compiler))
    java = {"JAVA_HOME": str(parts.java().path)}
    refused = installed.millrace(*arguments, **java)
    assert (refused.returncode, "--kafka-libs" in refused.stderr) == (2, True)
    done = installed.millrace(*arguments, "--kafka-libs", str(parts.KAFKA.path), **java)
    assert (done.returncode, done.stderr) == (0, "")
    [ours], [stacks] = plugin.glob("millrace*.jar"), parts.DEBEZIUM.path.glob("millrace*.jar")
    with zipfile.ZipFile(ours) as one, zipfile.ZipFile(stacks) as other:
        assert set(one.namelist()) == set(other.namelist())
    missing = installed.millrace("cdc", "connect-plugin", str(plugin), "--kafka-libs", str(parts.KAFKA.path), PATH="")
    assert (missing.returncode, "there is no `javac`" in missing.stderr) == (2, True)


def test_a_database_is_captured_and_proven_equal_by_the_wheel_alone(
    installed: Installed, own_state: None, target: Client
) -> None:
    table = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'v' FROM generate_series(1, 1000) n"
    where = subprocess.run(
        [str(installed.python), "-c", "import cdc, stack; print(cdc.__file__, stack.__file__)"],
        cwd=installed.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(Path(file).is_relative_to(installed.programs.parent) for file in where.stdout.split())
    with throw_away_source(NAME, table) as source, ExitStack() as processes:
        environment = {name: os.environ[name] for name in ADDRESSES} | {"WHEEL_DSN": source.dsn}
        (installed.folder / "wheel.yaml").write_text(
            f"source: {NAME}\ndsn: ${{WHEEL_DSN}}\ntables: [public.*]\ntargets: [clickhouse]\n"
        )
        done = installed.millrace("cdc", "apply", "wheel.yaml", **environment)
        assert (done.returncode, "copied public.t, 1000 rows" in done.stdout) == (0, True), done.stderr
        for module in MODULES:
            processes.enter_context(engine_process(installed.python, module, installed.folder, environment))
        run(source, "INSERT INTO t VALUES (1001, 'of the stream')", "DELETE FROM t WHERE id = 5")
        arrived = f"SELECT v FROM raw_{NAME}.t FINAL WHERE id = 1001"
        eventually(lambda: target.query(arrived).result_rows == [("of the stream",)], "the row arrives")
        proof = installed.millrace("cdc", "verify", "--json", **environment)
        assert proof.returncode == 0, proof.stderr
        found = json.loads(proof.stdout)
        assert (found["equal"], [each["table"] for each in found["tables"]]) == (True, [f"{NAME}.public.t"])
        assert found["tables"][0]["rows"] == 1000
        assert installed.millrace("cdc", "status", **environment).returncode == 0
        page = processes.enter_context(
            engine_process(installed.python, "cdc.page", installed.folder, environment | {"CDC_PAGE_TOKEN": "wheel"})
        )
        with httpx.Client(base_url=page.url, follow_redirects=True, timeout=30) as browser:
            shown = browser.get("/?token=wheel").text
        assert "All is well" in shown, shown
        assert f"{NAME}.t" in shown
        assert installed.millrace("cdc", "plan", "wheel.yaml", **environment).returncode == 0
