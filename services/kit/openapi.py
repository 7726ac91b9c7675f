"""`python -m services.kit.openapi [NAME ...]`: rewrite the checked-in OpenAPI documents from the code.

A test compares them, so a change of a service's surface always shows in a review.
"""

import importlib
import json
import sys
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """The services that have a document."""
    return sorted(path.parent.name for path in SERVICES.glob("*/api.py"))


def document(name: str) -> str:
    """The service's OpenAPI document as its file holds it. `services.<name>.api` must offer `build()`."""
    app = importlib.import_module(f"services.{name}.api").build()
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> None:
    for name in arguments or names():
        (SERVICES / name / "openapi.json").write_text(document(name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
