"""`millrace saga`: what orders are being placed or cancelled, for operators; asks the orders service over HTTP.

Whoever may read the stack's secrets is an operator: it asks with the token of `demo`.
"""

import json
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Column, Table

from services.kit.problem import ProblemError
from services.kit.token_source import TokenSource
from stack.errors import NotRunning, StackError
from stack.settings import load_settings, stored_variables

app = typer.Typer(no_args_is_help=True, help="Orders that are being placed or cancelled.")
AsJson = Annotated[bool, typer.Option("--json", help="As one JSON document.")]
SagaId = Annotated[str, typer.Argument(help="The order's id; with :cancel for its cancellation.")]

# Cancelling waits until everything is undone.
_TIMEOUT_S = 60.0


class SagaRefused(StackError):
    """The orders service refused; the message is its own."""


@app.command("list")
def list_sagas(
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended, newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    as_json: AsJson = False,
) -> None:
    """Sagas that have not ended, oldest first; exits with 1 when one is stuck."""
    sagas = _ask("GET", "/sagas", params={"ended": ended, "limit": limit})["items"]
    if as_json:
        typer.echo(json.dumps({"sagas": sagas}, indent=2))
    else:
        table = Table(Column("saga", min_width=43), "kind", "state", "age", "executor", "stuck")
        for saga in sagas:
            stuck = "yes" if saga["stuck"] else ""
            table.add_row(
                saga["id"], saga["kind"], saga["state"], f"{saga['age_s']:.1f} s", saga["executor"] or "", stuck
            )
        Console(soft_wrap=True).print(table)
    if any(saga["stuck"] for saga in sagas):
        raise typer.Exit(1)


@app.command()
def show(saga_id: SagaId, as_json: AsJson = False) -> None:
    """A saga and the steps that have an answer."""
    saga = _ask("GET", f"/sagas/{saga_id}")
    if as_json:
        typer.echo(json.dumps(saga, indent=2))
        return
    typer.echo(f"{saga['kind']} {saga['id']}: {saga['state']} for {saga['age_s']:.1f} s on {saga['executor']}")
    for step in saga["steps"]:
        answer = step["answer"]
        said = f": {answer['slug']}, {answer['detail']}" if isinstance(answer, dict) and "slug" in answer else ""
        typer.echo(f"  {step['ended_at']}  {step['name']}{said}{step['error'] or ''}")


@app.command()
def retry(saga_id: SagaId, as_json: AsJson = False) -> None:
    """Have a process that is alive take the saga up at its first step without an answer."""
    saga = _ask("POST", f"/sagas/{saga_id}/retry")
    typer.echo(json.dumps(saga, indent=2) if as_json else f"{saga['id']} is taken up again")


@app.command()
def cancel(saga_id: SagaId, as_json: AsJson = False) -> None:
    """Cancel the order: what was done is undone, what was paid is given back."""
    order = _ask("POST", f"/sagas/{saga_id}/cancel")
    typer.echo(json.dumps(order, indent=2) if as_json else f"order {order['id']} is {order['status']}")


def _ask(method: str, path: str, **request: Any) -> Any:
    env = stored_variables(load_settings())
    if "ORDERS_URL" not in env:
        raise NotRunning("there is no stack yet: run `millrace up`")
    auth = TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])
    try:
        answer = httpx.request(
            method, env["ORDERS_URL"] + path, timeout=_TIMEOUT_S, trust_env=False, auth=auth, **request
        )
    except ProblemError as error:
        raise SagaRefused(error.detail) from error
    except httpx.TransportError as error:
        raise NotRunning(f"the orders service does not answer ({type(error).__name__}): `millrace status`") from error
    if not answer.is_success:
        raise SagaRefused(answer.json().get("detail", f"the orders service answered {answer.status_code}"))
    return answer.json()
