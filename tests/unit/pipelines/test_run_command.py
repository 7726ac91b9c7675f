"""The command line of `python -m pipelines.run` before anything is contacted."""

import os
import subprocess
import sys

from pipelines.lib.manifest import PROJECT


def test_without_an_instance_it_says_which_setting_is_missing() -> None:
    bare = {key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"}
    command = [sys.executable, "-m", "pipelines.run", "--json"]
    done = subprocess.run(command, cwd=PROJECT.parent, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "DAGSTER_HOME" in done.stderr
