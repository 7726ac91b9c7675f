"""Every POST says what a repetition does: the page names each, and where it would do harm a key is required."""

import json
import re

from services.kit.openapi import SERVICES, names
from stack.settings import ROOT

_ROW = re.compile(r"^\| (?P<service>[a-z]+) \| `POST (?P<path>/[^`]+)` \| (?P<how>[^|]+) \|", re.MULTILINE)


def said() -> dict[str, str]:
    """Per route of the page, how it is repeated: required, taken, or the reason why it needs no key."""
    page = (ROOT / "docs/services/kit.md").read_text(encoding="utf-8")
    return {f"{row['service']} {row['path']}": row["how"].strip() for row in _ROW.finditer(page)}


def built() -> dict[str, str]:
    found = {}
    for name in names():
        paths = json.loads((SERVICES / name / "openapi.json").read_text(encoding="utf-8"))["paths"]
        for path, operations in paths.items():
            if "post" in operations:
                given = {each["name"]: each for each in operations["post"].get("parameters", [])}
                key = given.get("Idempotency-Key", {"description": "-"})["description"]
                found[f"{name} {path}"] = "-" if key == "-" else "required" if "required" in key else "taken"
    return found


def test_the_page_says_of_each_post_what_a_repetition_does() -> None:
    ways, routes = said(), built()
    assert ways.keys() == routes.keys()
    for route, key in routes.items():
        assert ways[route].startswith("a key is") == (key != "-"), route
        if key != "-":
            assert ways[route].startswith(f"a key is {key}"), route
