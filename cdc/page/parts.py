"""Whether the servers and the engine's own processes answer, each asked on its own, all at the same time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx
import redis

from cdc.errors import ConfigurationError
from cdc.settings import CdcSettings

_SECONDS = 1.5
"""Longest wait for an answer: what is slower than this on one network is as good as away."""


@dataclass(frozen=True)
class Part:
    """A server or a process. ``fault`` says why it is not well, None when it is; ``says`` is what it tells about itself."""

    name: str
    kind: str
    address: str
    fault: str | None
    says: str = ""


def processes(config: CdcSettings) -> dict[str, str]:
    """Address of each process that the settings name.

    Raises:
        ConfigurationError: the setting is not a list of name=address.
    """
    named = [entry.strip().partition("=") for entry in config.cdc_processes.split(",") if entry.strip()]
    for name, _, address in named:
        if not name or not address.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"CDC_PROCESSES is {config.cdc_processes!r}; it must be name=http://host:port,... of processes with /readyz"
            )
    return {name: address.rstrip("/") for name, _, address in named}


class Parts:
    """Asks them all; keeps its connections between two looks."""

    def __init__(self, config: CdcSettings) -> None:
        self._http = httpx.Client(timeout=_SECONDS, trust_env=False)
        self._questions: list[Callable[[], Part]] = []
        for name, url, path in (
            ("Kafka Connect", config.connect_url, "/connectors"),
            ("ClickHouse", config.clickhouse_url, "/ping"),
            ("Elasticsearch", config.elasticsearch_url, "/_cluster/health"),
        ):
            self._questions.append(partial(self._server, name, url, path))
        if config.redis_url:
            self._redis = redis.Redis.from_url(
                config.redis_url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=None
            )
            self._questions.append(self._cache)
        self._questions += [partial(self._process, name, url) for name, url in processes(config).items()]
        self._threads = ThreadPoolExecutor(max_workers=len(self._questions), thread_name_prefix="parts")

    def ask(self) -> tuple[Part, ...]:
        """Every part's answer, servers first."""
        return tuple(self._threads.map(lambda question: question(), self._questions))

    def close(self) -> None:
        """End the connections."""
        self._threads.shutdown()
        self._http.close()

    def _server(self, name: str, url: str, path: str) -> Part:
        answer = self._get(url + path)
        if isinstance(answer, httpx.Response):
            return Part(name, "server", url, None if answer.is_success else f"answers {answer.status_code}")
        return Part(name, "server", url, answer)

    def _process(self, name: str, url: str) -> Part:
        answer = self._get(f"{url}/readyz")
        if not isinstance(answer, httpx.Response):
            return Part(name, "process", url, answer)
        told = "; ".join(_facts(answer))
        fault = None if answer.is_success else f"says that it is not ready{f' ({told})' if told else ''}"
        return Part(name, "process", url, fault, told)

    def _cache(self) -> Part:
        where = self._redis.connection_pool.connection_kwargs
        address = f"{where.get('host')}:{where.get('port')}"
        try:
            self._redis.ping()
        except redis.RedisError as error:
            return Part("Redis", "server", address, _one_line(error))
        return Part("Redis", "server", address, None)

    def _get(self, url: str) -> httpx.Response | str:
        """The answer, or why there is none."""
        try:
            return self._http.get(url)
        except httpx.TimeoutException:
            return f"does not answer within {_SECONDS:g} s"
        except httpx.HTTPError as error:
            return _one_line(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _facts(answer: httpx.Response) -> Iterator[str]:
    """What a process tells beside its readiness, without what is empty."""
    try:
        facts = answer.json()
    except ValueError:
        return
    for name, value in facts.items() if isinstance(facts, dict) else ():
        if name == "ready" or value in (None, "", {}, [], 0):
            continue
        yield f"{name.replace('_', ' ')}: {_told(value)}"


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
