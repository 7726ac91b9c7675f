"""Masks: what a value becomes before it leaves the source, by the same rule in PostgreSQL and in the connector.

``hash`` is HMAC-SHA256 of the value's text (UTF-8) under a secret key, as 64 hexadecimal digits: equal values stay equal, so
they can be joined and counted. ``redact`` puts `REDACTED` in every value's place. ``truncate(n)`` keeps the first n
characters: a value that is no longer is kept whole. NULL stays NULL under each.

The connector computes them in `cdc/connect/java/millrace/Mask.java`, every other path in the source's own SQL. The key reaches
PostgreSQL as two settings of the session, never within a statement: statements are logged and seen in pg_stat_activity.
"""

import hashlib
import re
from typing import NamedTuple

from cdc.errors import ConfigurationError

REDACTED = "***"
SHORTEST_KEY = 32
_BLOCK = 64  # bytes of SHA-256's block, which HMAC pads the key to
_TRUNCATE = re.compile(r"truncate\(([1-9][0-9]{0,3})\)")


class Mask(NamedTuple):
    """One mask: ``hash``, ``redact`` or ``truncate``, the last with how many characters stay."""

    kind: str
    length: int = 0

    @classmethod
    def parse(cls, text: str) -> "Mask":
        """Read a mask as a source file spells it.

        Raises:
            ValueError: it is none.
        """
        if text in ("hash", "redact"):
            return cls(text)
        if match := _TRUNCATE.fullmatch(text):
            return cls("truncate", int(match[1]))
        raise ValueError(f"{text!r} is no mask; there are hash, redact and truncate(n)")

    def in_source(self, column: str, text: str) -> str:
        """The masked value in PostgreSQL's SQL; ``column`` is the quoted column, ``text`` an expression for its text."""
        if self.kind == "redact":
            return f"CASE WHEN {column} IS DISTINCT FROM NULL THEN '{REDACTED}' END"
        if self.kind == "truncate":
            return f"left({text}, {self.length})"
        inner = f"sha256({_setting('inner')} || convert_to({text}, 'UTF8'))"
        return f"encode(sha256({_setting('outer')} || {inner}), 'hex')"


def session_options(key: str) -> str:
    """What a session on the source is opened with, so that `Mask.in_source` can hash: HMAC's two padded keys."""
    return f"-c millrace.mask_inner={_padded(key, 0x36)} -c millrace.mask_outer={_padded(key, 0x5C)}"


def check_key(key: str) -> str:
    """The key, where it can be used.

    Raises:
        ConfigurationError: it is missing, short, or cannot be spelled in a properties file. The key itself is not shown.
    """
    if not key:
        raise ConfigurationError(
            "a column is masked by `hash`, which needs the secret CDC_MASK_KEY, and that is not set; set it to "
            f"{SHORTEST_KEY} or more random characters, the same for every process of the engine"
        )
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(
            f"CDC_MASK_KEY has {len(key)} characters: whoever guesses it can undo every hash; use {SHORTEST_KEY} or more"
        )
    if not key.isprintable() or key != key.strip() or "\\" in key:
        raise ConfigurationError("CDC_MASK_KEY may hold no backslashes, outer blanks or control characters")
    return key


def _padded(key: str, pad: int) -> str:
    secret = key.encode()
    if len(secret) > _BLOCK:
        secret = hashlib.sha256(secret).digest()
    return bytes(byte ^ pad for byte in secret.ljust(_BLOCK, b"\0")).hex()


def _setting(name: str) -> str:
    # in a sub-select, so that it is decoded once a statement and not once a row
    return f"(SELECT decode(current_setting('millrace.mask_{name}'), 'hex'))"
