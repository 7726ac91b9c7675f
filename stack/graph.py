"""The order of start and stop: nodes that need other nodes, run in parallel where they do not depend on each other."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import CycleError, TopologicalSorter

from stack.errors import StackError
from stack.process import Node, Process

Needs = Mapping[str, tuple[str, ...]]


def wanted(nodes: Mapping[str, Node], only: Collection[str], additions: Collection[str]) -> list[str]:
    """The processes that are named, or where none is all that every stack has; and those of the additions."""
    of = {name: node.addition for name, node in nodes.items() if isinstance(node, Process)}
    return [*(only or [name for name in of if not of[name]]), *(name for name in of if of[name] in additions)]


def select(nodes: Mapping[str, Node], names: Iterable[str]) -> dict[str, Node]:
    """The named processes with everything they need and the jobs that belong to them.

    Raises StackError for a name that is no process, listing the names.
    """
    chosen: dict[str, Node] = {}
    pending = list(names)
    processes = [name for name, node in nodes.items() if isinstance(node, Process)]
    for name in pending:
        if name not in processes:
            raise StackError(f"no process is called {name!r}; there are: {', '.join(processes)}")
    while pending:
        name = pending.pop()
        if name in chosen:
            continue
        node = chosen[name] = nodes[name]
        pending += node.needs
        pending += node.then if isinstance(node, Process) else ()
    return {name: node for name, node in nodes.items() if name in chosen}


def needs_of(nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """Which node needs which, within `nodes`."""
    return {name: tuple(need for need in node.needs if need in nodes) for name, node in nodes.items()}


def reversed_needs(needs: Needs) -> dict[str, tuple[str, ...]]:
    """The order of stopping: a node waits for those that need it."""
    return {name: tuple(other for other, its in needs.items() if name in its) for name in needs}


def run(needs: Needs, work: Callable[[str], None], *, cancelled: threading.Event | None = None) -> dict[str, Exception]:
    """Call work(name) for each node once what it needs has succeeded; returns the failures.

    A node whose need failed is not run. When `cancelled` is set no further node is begun; an interruption of ours sets
    it, so that work that watches it ends. Each node has a thread of its own: they wait, they do not compute.
    """
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise StackError(f"processes need each other in a circle: {' -> '.join(error.args[1])}") from error
    stop = cancelled or threading.Event()
    failures: dict[str, Exception] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(needs))) as pool:
        running: dict[Future[None], str] = {}
        while sorter.is_active():
            if not stop.is_set():
                running |= {pool.submit(work, name): name for name in sorter.get_ready()}
            if not running:
                break
            try:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                stop.set()
                raise
            for future in finished:
                name = running.pop(future)
                failure = future.exception()
                if failure is None:
                    sorter.done(name)
                elif isinstance(failure, Exception):
                    failures[name] = failure
                else:
                    raise failure
    return failures
