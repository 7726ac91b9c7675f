"""Facts into HTML. Whatever comes from data is escaped; a name that a template spells wrong is an error, not an empty place."""

import re
import time
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from cdc.page.doors import HEADER
from cdc.page.look import View
from cdc.page.way import BEHIND, summed
from cdc.page.words import FILTERS
from cdc.page.wrong import TARGETS
from cdc.status import size_in_words, state_of

RUNBOOK = Path(__file__).parent / "runbook.md"
_STALE = 15.0
"""Seconds after which what is shown is called old: a look takes well below one, unless something hangs."""


class Render:
    """The page's texts; ``press`` is what its buttons have to send."""

    def __init__(self, press: str) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= FILTERS | {"size": size_in_words, "state": state_of}
        self._templates.globals |= {"TARGETS": TARGETS, "BEHIND": BEHIND, "STALE": _STALE, "summed": summed}
        self._press = {HEADER: press}

    def page(self, view: View | None) -> str:
        """The whole page."""
        return self._filled("page.html", view=view, press=self._press)

    def now(self, view: View | None) -> str:
        """What is renewed every two seconds."""
        return self._filled("renewed.html", view=view)

    def done(self, view: View | None, said: str) -> str:
        """The answer to a button: the page as it is now, and what came of it."""
        return self._filled("done.html", view=view, said=said)

    def closed(self) -> str:
        """For a browser that did not open the page by its address."""
        return self._filled("closed.html")

    def runbook(self) -> str:
        """docs/runbooks/cdc.md, its headings named so that problems can lead to them."""
        html = MarkdownIt().enable("table").render(RUNBOOK.read_text())
        return self._filled("runbook.html", text=Markup(_named(html)))  # noqa: S704  # a file of ours

    def _filled(self, template: str, **names: object) -> str:
        return self._templates.get_template(template).render(now=time.time(), **names)


def section_of(heading: str) -> str:
    """The name of a heading, as GitHub makes it too."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _named(html: str) -> str:
    return re.sub(
        r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{section_of(found[1])}" tabindex="-1">{found[1]}</h2>', html
    )
