"""The kinds of problem that callers may rely on are those that docs/services/kit.md lists, no more and no fewer."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import services
from services.kit.openapi import SERVICES
from services.kit.problem import ProblemError

PAGE = SERVICES.parent / "docs" / "services" / "kit.md"
ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \| [^|]+ \|$", re.MULTILINE)


def kinds(of: type[ProblemError]) -> Iterator[type[ProblemError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_the_table_lists_every_kind_with_its_status() -> None:
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # The framework's own refusals take their name from their status.
    ours = {
        (kind.slug, kind.status)
        for kind in kinds(ProblemError)
        if kind.__module__.startswith("services.") and not kind.__name__.startswith("_")
    }
    listed = [(slug, int(status)) for slug, status in ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert len(listed) == len(set(listed))
    assert set(listed) == ours | {("method-not-allowed", 405)}
