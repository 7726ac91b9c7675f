"""Questions that a healthy process answers, one per kind of server.

Each asks for the real service (a query, a listing), never only whether a port is open. A check opens its own
connection, waits at most a few seconds and leaves nothing behind.
"""

import base64
import json
import logging
import smtplib
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

import psycopg

from stack.process import HealthCheck

SECONDS = 3.0


class Unhealthy(Exception):
    """The process does not do its work yet, or no longer; the message is for a person."""


def http(
    url: str,
    *,
    credentials: tuple[str, str] | None = None,
    body: str | None = None,
    contains: str = "",
) -> HealthCheck:
    """Healthy when the URL answers 200 with a text that contains `contains`."""
    headers: dict[str, str] = {}
    if credentials is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()

    def check() -> None:
        text = fetch(url, headers=headers, body=body)
        if contains not in text:
            raise Unhealthy(f"{url} answered {text[:80]!r}")

    return check


def fetch(url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None) -> str:
    """Body of a 200 answer; Unhealthy on anything else."""
    request = urllib.request.Request(url, headers=dict(headers or {}), data=None if body is None else body.encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as response:
            text: str = response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read().decode(errors="replace")[:200]
        raise Unhealthy(f"{url} answered {error.code} {detail}") from error
    except OSError as error:
        raise Unhealthy(f"{url}: {getattr(error, 'reason', error)}") from error
    return text


def postgres(dsn: str, query: str = "SELECT true", expected: str = "") -> HealthCheck:
    """Healthy when the query's first value is true."""

    def check() -> None:
        try:
            with psycopg.connect(dsn, connect_timeout=int(SECONDS), autocommit=True) as connection:
                row = connection.execute(query.encode()).fetchone()
        except psycopg.Error as error:
            raise Unhealthy(str(error).splitlines()[0]) from error
        if row is None or not row[0]:
            raise Unhealthy(expected or f"{query} is not true")

    return check


def redis(url: str) -> HealthCheck:
    """Healthy when it answers PING to our password."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 0)

    def check() -> None:
        try:
            with socket.create_connection(address, timeout=SECONDS) as connection:
                connection.sendall(f"AUTH {parts.password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer:
                    received = connection.recv(200)
                    if not received or b"-" in received:
                        raise Unhealthy(f"answered {(answer + received).decode(errors='replace').strip()!r}")
                    answer += received
        except OSError as error:
            raise Unhealthy(str(error)) from error

    return check


def smtp(url: str) -> HealthCheck:
    """Healthy when it greets us and answers NOOP."""
    parts = urlsplit(url)

    def check() -> None:
        try:
            with smtplib.SMTP(parts.hostname or "", parts.port or 0, "localhost", timeout=SECONDS) as connection:
                code, words = connection.noop()
        except (OSError, smtplib.SMTPException) as error:
            raise Unhealthy(str(error)) from error
        if code != 250:
            raise Unhealthy(f"answered {code} {words.decode(errors='replace')}")

    return check


def kafka(bootstrap: str) -> HealthCheck:
    """Healthy when the broker lists its topics."""

    def check() -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        quiet = logging.getLogger("stack.health.kafka")
        quiet.disabled = True
        client = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 3000}, logger=quiet)
        try:
            client.list_topics(timeout=SECONDS)
        except KafkaException as error:
            raise Unhealthy(error.args[0].str()) from error

    return check


def grpc(address: str) -> HealthCheck:
    """Healthy when Dagster's code location answers a ping."""

    def check() -> None:
        import grpc as library
        from grpc_health.v1.health_pb2 import HealthCheckRequest
        from grpc_health.v1.health_pb2_grpc import HealthStub

        with library.insecure_channel(address) as channel:
            try:
                answer = HealthStub(channel).Check(HealthCheckRequest(service="DagsterApi"), timeout=SECONDS)
            except library.RpcError as error:
                raise Unhealthy(f"{address}: {error.code().name.lower()}") from error
        if answer.status != 1:
            raise Unhealthy(f"{address} is not serving")

    return check


def connect(url: str) -> HealthCheck:
    """Healthy when the worker has joined its group and lists connectors."""

    def check() -> None:
        text = fetch(f"{url}/connectors")
        try:
            json.loads(text)
        except ValueError as error:
            raise Unhealthy(f"{url} answered {text[:80]!r}") from error

    return check
