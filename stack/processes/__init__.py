"""Every process and one-time job of the stack, by name, in the order in which people think of them."""

from dataclasses import dataclass

from stack.environment import contract
from stack.process import Node
from stack.processes import (
    capture,
    clickhouse,
    dashboards,
    elasticsearch,
    kafka,
    mail,
    pipelines,
    postgres,
    redis,
    services,
)
from stack.secrets import load_secrets
from stack.settings import Settings


@dataclass(frozen=True)
class Stack:
    """One stack: its settings, its passwords, its variables and its nodes."""

    settings: Settings
    secrets: dict[str, str]
    variables: dict[str, str]
    nodes: dict[str, Node]


def describe(settings: Settings) -> Stack:
    """The stack of these settings; its passwords are made at the first call."""
    secrets = load_secrets(settings.home)
    variables = contract(settings, secrets)
    nodes: list[Node] = [
        *postgres.nodes(settings, secrets, variables),
        *redis.nodes(settings, secrets, variables),
        *kafka.nodes(settings, secrets, variables),
        *elasticsearch.nodes(settings, variables),
        *clickhouse.nodes(settings, secrets, variables),
        *mail.nodes(settings, variables),
        *services.nodes(settings, variables),
        *capture.nodes(settings, variables),
        *pipelines.nodes(settings, variables),
        *dashboards.nodes(settings, variables),
    ]
    return Stack(settings, secrets, variables, {node.name: node for node in nodes})
