"""Typed text in the form that the documents' `*_folded` fields have: lower case, without accents.

The engine folds those fields by a definition of its own, which this service cannot import; a test compares the two on
every character. Folding goes character by character, so what was found in folded text can be marked in the original.
"""

import unicodedata

_LETTERS = {
    "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n",
    "’": "'", "‘": "'",
}  # fmt: skip


class _Table(dict[int, str]):
    def __missing__(self, code: int) -> str:
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        letters = "".join(_LETTERS.get(letter, letter) for letter in apart if not "\u0300" <= letter <= "\u036f")
        self[code] = unicodedata.normalize("NFC", letters)
        return self[code]


_TABLE = _Table()


def fold(text: str) -> str:
    """The text in lower case and without accents."""
    return text.translate(_TABLE)


def places(text: str) -> list[int]:
    """For each character of the folded text, the place in the text of the character that it came from."""
    return [place for place, letter in enumerate(text) for _ in _TABLE[ord(letter)]]
