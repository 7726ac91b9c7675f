"""Text without case and accents, for fields that are searched: `Café` and `CAFE` become `cafe`, `Straße` `strasse`.

Character by character, so that what is found in folded text can be shown in the original. Marks go from Latin, Greek and
Cyrillic letters; elsewhere they are part of the letter and stay. Services fold what is typed in the same way by a
definition of their own (they import nothing of the engine); a test compares the two on every character there is.

SQL reads the documents and cannot fold, so it puts `MARK` before each text that shall be, and `folded` replaces those
texts in the JSON. Nothing else of the JSON is read or written anew: numbers keep every digit.
"""

import json
import re
import secrets
import unicodedata

_LETTERS = {
    "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n",
    "’": "'", "‘": "'",
}  # fmt: skip
"""Letters that Unicode does not take apart, and the apostrophes that keyboards do not have."""

MARK = f"fold:{secrets.token_hex(16)}:"
"""New in every process, so that no text of the source can be taken for one that was marked."""

_MARKED = re.compile(rf'"{MARK}((?:[^"\\]|\\.)*)"')


class _Table(dict[int, str]):
    """Character -> what it becomes, worked out when first asked for."""

    def __missing__(self, code: int) -> str:
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        letters = "".join(_LETTERS.get(letter, letter) for letter in apart if not "\u0300" <= letter <= "\u036f")
        self[code] = unicodedata.normalize("NFC", letters)
        return self[code]


_TABLE = _Table()


def fold(text: str) -> str:
    """The text in lower case and without accents."""
    return text.translate(_TABLE)


def folded(body: str) -> str:
    """A document's JSON with every marked text folded."""
    return _MARKED.sub(lambda found: json.dumps(fold(json.loads(f'"{found[1]}"')), ensure_ascii=False), body)
