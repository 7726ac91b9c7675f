"""`python -m services.kit.event_schemas [NAME ...]`: rewrite the checked-in JSON Schemas of the services' events.

A document describes the value of a record in `events.<aggregate>`, whole. A test compares it with the code, so a changed
event always shows in a review.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from services.kit.events import Event

SERVICES = Path(__file__).resolve().parent.parent
PUBLISHERS = ("orders", "payments", "products", "users")
_REFERENCE = "#/$defs/{model}"


def events(name: str) -> tuple[type[Event], ...]:
    """The service's events: `services.<name>.events` must offer `EVENTS`."""
    found: tuple[type[Event], ...] = importlib.import_module(f"services.{name}.events").EVENTS
    return found


def document(name: str) -> str:
    """The service's document as its file holds it."""
    kinds = events(name)
    references, definitions = models_json_schema([(kind, "serialization") for kind in kinds], ref_template=_REFERENCE)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"What {name} tells: values of records in {', '.join(sorted({_topic(kind) for kind in kinds}))}",
        "oneOf": [_record(kind, references[kind, "serialization"]) for kind in kinds],
        **definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _record(kind: type[Event], data: dict[str, Any]) -> dict[str, Any]:
    members = {
        "id": {"type": "string", "format": "uuid", "description": "the event's own: a reader keeps it in its inbox"},
        "aggregate": {"const": kind.aggregate},
        "key": {"type": "string", "format": "uuid", "description": "events of one key come in their order"},
        "type": {"const": kind.type()},
        "at": {"type": "string", "format": "date-time", "description": "the service's clock; the order is the topic's"},
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "the trace it was told in (W3C), also among the record's headers",
        },
        "data": data,
    }
    return {
        "title": f"{kind.type()} in {_topic(kind)}",
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _topic(kind: type[Event]) -> str:
    return f"events.{kind.aggregate}"


def main(arguments: list[str]) -> None:
    for name in arguments or PUBLISHERS:
        (SERVICES / name / "events.json").write_text(document(name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
