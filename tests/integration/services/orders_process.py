"""An orders service beside the stack's, with sagas of its own."""

from contextlib import AbstractContextManager
from uuid import uuid4

from tests.integration.services.service_process import ServiceProcess, service_process
from tests.integration.services.shop import Shop

# Not the stack's: whichever process is alive may take up a saga. Who began one is told by a name of its own.
_SCHEMA = "dbos_tests"


def orders_process(shop: Shop, **settings: str) -> AbstractContextManager[ServiceProcess]:
    """Not started yet; ended when the block ends. Its sagas go on by themselves when it is started again."""
    own = {"ORDERS_SAGA_SCHEMA": _SCHEMA, "ORDERS_EXECUTOR": f"orders-{uuid4()}"}
    return service_process("orders", shop.env, **{**own, **settings})
