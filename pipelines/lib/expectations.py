"""Great Expectations on the marts, pushed down to ClickHouse: suites from a file, a verdict per mart, Data Docs as pages.

Importing the library costs eight CPU seconds, so it happens inside `validate` only: whoever loads the code location does
not pay for it, and all suites of a run share one import. It writes below the folder that it is given and sends nothing
anywhere; the password is named in its files, not written.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import yaml

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

SUITES = Path(__file__).parents[1] / "defs" / "quality" / "suites.yaml"
ADDRESS = "GX_MARTS_ADDRESS"
Suites = Mapping[str, Sequence[Mapping[str, Any]]]


class UnreadableMartError(RuntimeError):
    """An expectation could not be checked: that is no verdict."""


@dataclass(frozen=True)
class Verdict:
    """What a suite said of a mart; `unmet` names each expectation that did not hold, with what was seen."""

    mart: str
    expectations: int
    unmet: list[str]


def suites() -> Suites:
    """Expectations by mart, as the file says."""
    read: Suites = yaml.safe_load(SUITES.read_text())
    return read


def address(url: str, user: str, password: str, database: str) -> str:
    """ClickHouse's address for SQLAlchemy's dialect `clickhousedb`."""
    parts = urlsplit(url)
    secure = "?secure=true" if parts.scheme == "https" else ""
    return f"clickhousedb://{user}:{quote(password, safe='')}@{parts.hostname}:{parts.port}/{database}{secure}"


def validate(where: str, chosen: Suites, folder: Path) -> tuple[list[Verdict], Path]:
    """Run the suites of the chosen marts at the address `where`; their verdicts, and the first page of the Data Docs.

    Raises UnreadableMartError when an expectation could not be checked.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ[ADDRESS] = where
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=folder)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_or_update_sql("marts", connection_string=f"${{{ADDRESS}}}")
    definitions = []
    for mart, expectations in chosen.items():
        made = gx.ExpectationSuite(name=mart, expectations=[expectation(each) for each in expectations])
        batch = source.add_table_asset(mart, table_name=mart).add_batch_definition_whole_table("all")
        definition = gx.ValidationDefinition(name=mart, data=batch, suite=context.suites.add_or_update(made))
        definitions.append(context.validation_definitions.add_or_update(definition))
    checkpoint = context.checkpoints.add_or_update(gx.Checkpoint(name="marts", validation_definitions=definitions))
    verdicts = []
    for result in checkpoint.run().run_results.values():
        unmet = [described(each) for each in result.results if not each.success]
        verdicts.append(Verdict(result.suite_name, len(result.results), unmet))
    context.build_data_docs()
    (page,) = (Path(urlsplit(str(site["site_url"])).path) for site in context.get_docs_sites_urls())
    return verdicts, page


def expectation(told: Mapping[str, Any]) -> "Expectation":
    """The library's class of the name in snake case, with the other members as its arguments."""
    import great_expectations.expectations as known

    arguments = dict(told)
    name = "".join(word.capitalize() for word in f"expect_{arguments.pop('expect')}".split("_"))
    made: Expectation = getattr(known, name)(**arguments)
    return made


def described(result: "ExpectationValidationResult") -> str:
    """One line: what was expected of which column, and what was seen. Raises UnreadableMartError if nothing was."""
    told = result.expectation_config
    arguments = {name: value for name, value in told.kwargs.items() if name != "batch_id"} if told else {}
    what = f"{told.type if told else 'expectation'} {arguments}"
    if result.exception_info and result.exception_info.get("raised_exception"):
        raise UnreadableMartError(f"{what}: {result.exception_info.get('exception_message')}")
    seen = {name: result.result[name] for name in ("observed_value", "unexpected_percent") if name in result.result}
    return f"{what}: {seen}"
