"""The sagas on DBOS: each step's answer is kept in PostgreSQL, and after a crash a saga goes on where it was.

The only module that knows the engine. A saga's id is its order's id (`<id>:cancel` for a cancellation), so starting
one twice is starting it once. DBOS gives a saga to the executor that began it: every process has a stable name and
takes up its own sagas when it comes back; `retry` hands one to whichever process is alive.

Refuses the engine's own cancel and timeout: both stop a saga without undoing anything.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSConfig, SetWorkflowID
from opentelemetry import context, propagate

from services.kit import log
from services.kit.db import Primary
from services.kit.problem import Unavailable
from services.orders import flow, repository
from services.orders.retries import Refusal
from services.orders.sagas import ENDED, OPEN, Saga, SagaStep, summary
from services.orders.steps import PLACEMENT, Placement, Steps

# Raise it when a saga that is under way could not go on with the changed steps; such sagas wait for the old version.
VERSION = "1"
# DBOS writes from threads; more of them than connections only wait.
_CONNECTIONS = 10
_CONNECT_WITHIN_S = 10
# Whoever hangs in a transaction lets go of its locks after this.
_IDLE_IN_TRANSACTION_MS = 60_000
_RESULT_POLL_S = 0.2
_END_WITHIN_S = 3.0
_SWEEP_SAGAS = 200

logger = logging.getLogger(__name__)
Start = Callable[..., Awaitable[Any]]


class NotReady(Unavailable):
    slug = "sagas-not-ready"


async def _run(name: str, step: Callable[[], Awaitable[Any]], /) -> Any:
    return await DBOS.run_step_async({"name": name}, step)


@contextmanager
def _origin(origin: dict[str, Any]) -> Iterator[None]:
    """The request id and the trace of the request that began the saga, also after a restart."""
    request = log.request_id.set(origin.get("request_id"))
    trace = context.attach(propagate.extract(origin.get("trace", {})))
    try:
        yield
    finally:
        context.detach(trace)
        log.request_id.reset(request)


def _here() -> dict[str, Any]:
    trace: dict[str, str] = {}
    propagate.inject(trace)
    return {"request_id": log.request_id.get(), "trace": trace}


def _engine(dsn: str) -> sqlalchemy.Engine:
    """What DBOS writes with: connections to the service's own database, looked at before they are used."""
    url = sqlalchemy.make_url(dsn).set(drivername="postgresql+psycopg")
    options = f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
    return sqlalchemy.create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"application_name": "orders-sagas", "connect_timeout": _CONNECT_WITHIN_S, "options": options},
    )


class Sagas:
    """Starts, resumes and shows the sagas of one process, whose name is `executor`."""

    def __init__(self, steps: Steps, primary: Primary, dsn: str, schema: str, executor: str) -> None:
        self._primary = primary
        self._engine = _engine(dsn)
        self._config = DBOSConfig(
            name="millrace-orders",
            # Its own engine would first look for the database from another one, `postgres`, which this role may not enter.
            system_database_engine=self._engine,
            dbos_system_schema=schema,
            application_version=VERSION,
            executor_id=executor,
            # Nobody waits for DBOS's own messages, and NOTIFY makes commits wait for each other.
            use_listen_notify=False,
            log_level="WARNING",
        )
        self._running: set[asyncio.Task[Any]] = set()
        self._waiting: dict[UUID, asyncio.Future[Refusal | None]] = {}
        self._launched = False
        self._starter: asyncio.Task[None] | None = None
        # Its own handler would write lines that are no JSON.
        logging.getLogger("dbos").addHandler(logging.NullHandler())

        @DBOS.workflow(name="place-order", max_recovery_attempts=None)
        async def place(given: dict[str, Any], origin: dict[str, Any]) -> Refusal | None:
            placement = PLACEMENT.validate_python(given)
            with self._under_way(), _origin(origin):
                return await flow.place(_run, steps, placement, lambda end: self._decided(placement.order_id, end))

        @DBOS.workflow(name="cancel-order", max_recovery_attempts=None)
        async def cancel(order_id: str, origin: dict[str, Any]) -> Refusal | None:
            with self._under_way(), _origin(origin):
                return await flow.cancel(_run, steps, UUID(order_id))

        @DBOS.workflow(name="abandon-order", max_recovery_attempts=None)
        async def abandon(order_id: str) -> Refusal | None:
            with self._under_way():
                return await flow.abandon(_run, steps, UUID(order_id))

        self._place, self._cancel, self._abandon = place, cancel, abandon

    # Its life.

    def open(self) -> None:
        """Begin to launch; sagas that were under way go on as soon as the database answers."""
        self._starter = asyncio.create_task(self._launch())

    async def close(self) -> None:
        """Give what is under way a moment to end. The rest goes on when a process of this name is back."""
        if self._starter is not None:
            self._starter.cancel()
            with suppress(asyncio.CancelledError):
                await self._starter
        if self._launched:
            self._launched = False
            late = await self.drain(_END_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await asyncio.to_thread(DBOS.destroy)
        self._engine.dispose()

    async def drain(self, within_s: float) -> set[asyncio.Task[Any]]:
        """Wait for what is under way in this process; what has not ended by then."""
        return (await asyncio.wait(self._running, timeout=within_s))[1] if self._running else set()

    async def answers(self) -> None:
        """Return when sagas can be started; raise NotReady when not."""
        if not self._launched:
            raise NotReady("the sagas are not under way yet; try again")

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        yield

    async def _launch(self) -> None:
        while not self._launched:
            try:
                await self._primary.answers()
                DBOS(config=self._config)
                # On this loop's own thread: recovered sagas use this loop's connections.
                DBOS.launch()
                self._launched = True
            except Exception as error:
                logger.warning("the sagas wait for the database", exc_info=error)
                with suppress(Exception):
                    await asyncio.to_thread(DBOS.destroy)
                await asyncio.sleep(0.5)
        try:
            for order_id in await repository.unfinished_without_saga(self._primary):
                await self._start(f"{order_id}:abandon", self._abandon, str(order_id))
        except psycopg.Error:
            logger.exception("orders without a saga could not be looked for; the next start does it")

    # What customers ask for.

    async def place(self, given: Placement, within_s: float) -> Refusal | None:
        """Start the order's saga and wait for its outcome. Raises TimeoutError when there is none yet."""
        await self.answers()
        decided = self._waiting.setdefault(given.order_id, asyncio.get_running_loop().create_future())
        try:
            await self._start(str(given.order_id), self._place, PLACEMENT.dump_python(given, mode="json"), _here())
            async with asyncio.timeout(within_s):
                return await asyncio.shield(decided)
        finally:
            self._waiting.pop(given.order_id, None)

    async def cancel(self, order_id: UUID, within_s: float) -> Refusal | None:
        """Start the order's cancellation, once, and wait for its end. Raises TimeoutError when it takes longer."""
        await self.answers()
        handle = await self._start(f"{order_id}:cancel", self._cancel, str(order_id), _here())
        async with asyncio.timeout(within_s):
            refusal: Refusal | None = await handle.get_result(polling_interval_sec=_RESULT_POLL_S)
            return refusal

    async def _start(self, saga_id: str, workflow: Start, *arguments: Any) -> Any:
        with SetWorkflowID(saga_id):
            return await DBOS.start_workflow_async(workflow, *arguments)  # type: ignore[arg-type]

    def _decided(self, order_id: UUID, refusal: Refusal | None) -> None:
        waiting = self._waiting.get(order_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(refusal)

    # What operators ask for.

    async def find(self, *, only_open: bool, limit: int, ids: list[str] | None = None) -> list[Saga]:
        """Newest first; the open ones oldest first."""
        await self.answers()
        found = await DBOS.list_workflows_async(
            workflow_ids=ids,
            status=list(OPEN) if only_open else None,
            limit=limit,
            sort_desc=not only_open,
            load_input=False,
            load_output=False,
        )
        return [summary(status, time.time()) for status in found]

    async def steps(self, saga_id: str) -> list[SagaStep]:
        """The steps that were done, in their order, each with its answer."""
        await self.answers()
        found = await DBOS.list_workflow_steps_async(saga_id)
        return [
            SagaStep(
                name=step["function_name"],
                started_at=step["started_at_epoch_ms"],
                ended_at=step["completed_at_epoch_ms"],
                answer=step["output"],
                error=None if step["error"] is None else repr(step["error"]),
            )
            for step in found
        ]

    async def sweep(self, kept: timedelta) -> int:
        """Forget sagas that ended longer ago than that, some at most; how many. One that is open or broken stays.

        What an order became is in its stream; a saga that ended is kept to see how it went, and its row holds the
        payment's token.
        """
        if self._starter is not None:
            await asyncio.shield(self._starter)
        before = (datetime.now(UTC) - kept).isoformat()
        ended = await DBOS.list_workflows_async(
            status=ENDED, completed_before=before, limit=_SWEEP_SAGAS, load_input=False, load_output=False
        )
        if ended:
            await DBOS.delete_workflows_async([saga.workflow_id for saga in ended])
        return len(ended)

    async def retry(self, saga: Saga) -> None:
        """Have the saga taken up again at its first step without an answer, by any process that is alive."""
        if saga.state == "open":
            await DBOS.resume_workflow_async(saga.id)
        elif saga.state == "broken":
            await DBOS.rewind_workflow_async(saga.id)
