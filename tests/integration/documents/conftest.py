"""One shop for all document tests of a run, on the stack's servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.settings import CdcSettings
from tests.integration.documents.shop import Shop, opened


@pytest.fixture(scope="module")
def shop(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop, with its connector at work."""
    folder: Path = tmp_path_factory.mktemp("sources")
    config = CdcSettings.model_validate({name.lower(): value for name, value in stack.env.items()})
    with opened(stack.env, config, folder) as shop:
        yield shop
