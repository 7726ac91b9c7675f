"""A key as a person gives it: the text of its column; of several columns a JSON array of their texts."""

from typing import Any

import orjson
import psycopg

from cdc.catalog import Shape
from cdc.errors import ConfigurationError
from cdc.message_keys import spelled
from cdc.verify.checksum import Key


def read_key(source: psycopg.Connection[Any], shape: Shape, text: str) -> Key:
    """The key in the spelling of proofs.

    Raises:
        ConfigurationError: it is not one of this table.
    """
    names = ", ".join(shape.key)
    if len(shape.key) == 1:
        values: Any = [text]
    else:
        try:
            values = orjson.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, list) or len(values) != len(shape.key):
            raise ConfigurationError(
                f"the key of {shape.qualified} is ({names}): give a JSON array of {len(shape.key)} values"
            )
    try:
        [key] = spelled(source, shape, [orjson.dumps(dict(zip(shape.key, values, strict=True))).decode()])
    except (psycopg.DataError, orjson.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"this is no key ({names}) of {shape.qualified}: {reason}") from None
    if None in key:
        raise ConfigurationError(f"the key ({names}) of {shape.qualified} is never NULL")
    return key
