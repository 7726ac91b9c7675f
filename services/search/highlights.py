"""Found words marked in the text that people wrote, from the marks that Elasticsearch puts into the folded text."""

from html import escape
from typing import Any

from services.search.folding import fold, places
from services.search.query import BEGIN, END

FOLDED = {
    "name_folded": "name",
    "brand_folded": "brand",
    "category.path_folded": "category.path",
    "description_folded": "description",
}


def shown(hit: dict[str, Any]) -> dict[str, list[str]]:
    """By field, passages as HTML: found words within <em>, everything else escaped."""
    passages: dict[str, list[str]] = {}
    for field, marked in hit.get("highlight", {}).items():
        texts = _texts(hit["_source"], FOLDED[field])
        found = [html for passage in marked if (html := _original(passage, texts)) is not None]
        if found:
            passages[FOLDED[field]] = found
    return passages


def _texts(source: dict[str, Any], field: str) -> list[str]:
    value: Any = source
    for name in field.split("."):
        value = (value or {}).get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _original(passage: str, texts: list[str]) -> str | None:
    """The passage as it stands in one of the texts; None when it is of a text that has been changed since."""
    bare = passage.replace(BEGIN, "").replace(END, "")
    for text in texts:
        start = fold(text).find(bare)
        if start >= 0:
            return _marked(passage, text, [*places(text), len(text)], start)
    return None


def _marked(passage: str, text: str, at: list[int], start: int) -> str:
    html: list[str] = []
    done, place = at[start], start
    for letter in passage:
        if letter in (BEGIN, END):
            # a letter of the original may be several folded ones: a mark within it waits for its end
            html += [escape(text[done : max(done, at[place])]), "<em>" if letter == BEGIN else "</em>"]
            done = max(done, at[place])
        else:
            place += 1
    return "".join([*html, escape(text[done : max(done, at[place])])])
