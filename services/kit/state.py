"""What a service's wiring put into the app's state, as an argument of its routes.

Service = Annotated[Shop, from_state("service")]
"""

from typing import Any

from fastapi import Depends, Request


def from_state(name: str) -> Any:
    """The dependency whose value is `app.state.<name>`. The route names its type; the wiring has to keep to it."""

    async def found(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(found)
