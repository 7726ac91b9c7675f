"""Small stacks beside the big one, each on ports and in a folder of its own, always taken down."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.stack.small import SmallStack

FIRST_PORT = int(os.environ.get("MILLRACE_TEST_PORT_BASE", "24000")) + 1000


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], SmallStack]]:
    """Makes a stack that was never started."""
    made: list[SmallStack] = []

    def make() -> SmallStack:
        home: Path = tmp_path_factory.mktemp("stack") / "home"
        made.append(SmallStack(home, FIRST_PORT + 50 * len(made)))
        return made[-1]

    yield make
    for stack in made:
        stack.run("down")


@pytest.fixture(scope="module")
def small(new_stack: Callable[[], SmallStack]) -> SmallStack:
    """PostgreSQL and Redis, up."""
    stack = new_stack()
    stack.up("postgres,redis")
    return stack
