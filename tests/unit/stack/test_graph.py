"""The order of start and stop."""

import threading
from collections.abc import Mapping

import pytest

from stack import graph
from stack.errors import StackError
from stack.process import Job, Node, Process


def process(name: str, *needs: str, then: tuple[str, ...] = ()) -> Process:
    return Process(name=name, command=("true",), health=lambda: None, needs=needs, then=then)


def named(*nodes: Node) -> Mapping[str, Node]:
    return {node.name: node for node in nodes}


NODES = named(
    process("database", then=("roles",)),
    Job("roles", lambda: None, needs=("database",)),
    Job("tables", lambda: None, needs=("roles",)),
    process("shop", "tables"),
    process("cache"),
)


def test_an_addition_is_started_when_it_is_asked_for_and_only_then() -> None:
    pages = Process(name="pages", command=("true",), health=lambda: None, needs=("shop",), addition="dashboards")
    nodes = {**NODES, "pages": pages}
    assert graph.wanted(nodes, [], []) == ["database", "shop", "cache"]
    assert graph.wanted(nodes, [], ["dashboards"]) == ["database", "shop", "cache", "pages"]
    assert graph.wanted(nodes, ["cache"], ["dashboards"]) == ["cache", "pages"]
    assert set(graph.select(nodes, graph.wanted(nodes, ["cache"], ["dashboards"]))) == nodes.keys()
    assert graph.wanted(nodes, ["pages"], []) == ["pages"]


def test_a_process_brings_what_it_needs_and_the_jobs_of_that() -> None:
    assert list(graph.select(NODES, ["shop"])) == ["database", "roles", "tables", "shop"]
    assert list(graph.select(NODES, ["database"])) == ["database", "roles"]


def test_an_unknown_name_and_a_job_are_refused_with_the_names_there_are() -> None:
    for name in ("shopp", "tables"):
        with pytest.raises(StackError, match="there are: database, shop, cache"):
            graph.select(NODES, [name])


def test_nothing_begins_before_what_it_needs() -> None:
    order: list[str] = []
    assert graph.run(graph.needs_of(NODES), order.append) == {}
    for name, node in NODES.items():
        assert all(order.index(need) < order.index(name) for need in node.needs)


def test_the_stop_goes_the_other_way() -> None:
    order: list[str] = []
    graph.run(graph.reversed_needs(graph.needs_of(NODES)), order.append)
    assert order.index("shop") < order.index("tables") < order.index("database")


def test_independent_nodes_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=10)
    needs: graph.Needs = {"one": (), "two": ()}

    def meet(_: str) -> None:
        together.wait()

    assert graph.run(needs, meet) == {}


def test_a_failure_keeps_back_only_what_needs_it() -> None:
    done: list[str] = []

    def work(name: str) -> None:
        if name == "roles":
            raise StackError("refused")
        done.append(name)

    failures = graph.run(graph.needs_of(NODES), work)
    assert {name: str(error) for name, error in failures.items()} == {"roles": "refused"}
    assert sorted(done) == ["cache", "database"]


def test_a_circle_is_named() -> None:
    with pytest.raises(StackError, match="in a circle: "):
        graph.run({"a": ("b",), "b": ("a",)}, lambda _: None)


def test_nothing_further_begins_once_cancelled() -> None:
    cancelled = threading.Event()
    done: list[str] = []

    def work(name: str) -> None:
        done.append(name)
        cancelled.set()

    graph.run({"first": (), "second": ("first",)}, work, cancelled=cancelled)
    assert done == ["first"]
