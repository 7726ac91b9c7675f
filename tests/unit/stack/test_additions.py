"""What not every stack has: it is fetched and started when it is asked for, and missed by nobody else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack import parts
from stack.bootstrap import ADDITIONS
from stack.commands.main import app
from stack.inspection import examination
from stack.parts import Part
from stack.process import Process
from stack.processes import describe
from stack.settings import Settings


def test_every_addition_of_a_process_can_be_fetched(tmp_path: Path) -> None:
    nodes = describe(Settings(home=tmp_path)).nodes.values()
    assert {node.addition for node in nodes if isinstance(node, Process)} == {"", *ADDITIONS}


def test_an_addition_that_nobody_knows_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["up", "--with", "dashboard"], env={"MILLRACE_HOME": str(tmp_path)})
    assert str(done.exception) == "nothing is called 'dashboard' that could be added; there are: dashboards"
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_does_not_miss_what_was_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SUPERSET", Part("Superset", tmp_path / "nothing", "up --with dashboards"))
    titles = [finding.title for finding in examination(Settings(home=tmp_path))]
    assert titles and not [title for title in titles if "Superset" in title]
