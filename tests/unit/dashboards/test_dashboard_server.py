"""Superset's settings, as it reads them."""

import runpy
from typing import Any

import pytest

from stack.processes.dashboards import CONFIG


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("SUPERSET_SECRET_KEY", "key")
    monkeypatch.setenv("SUPERSET_DSN", "postgresql://superset:x@127.0.0.1:1/superset")
    return runpy.run_path(str(CONFIG))


def test_a_page_may_ask_no_other_machine(settings: dict[str, Any]) -> None:
    policy: dict[str, list[str] | str] = settings["TALISMAN_CONFIG"]["content_security_policy"]
    allowed = {source for sources in policy.values() for source in ([sources] if isinstance(sources, str) else sources)}
    assert allowed == {"'self'", "'none'", "'unsafe-inline'", "'strict-dynamic'", "blob:", "data:"}
    assert policy["default-src"] == ["'self'"]


def test_no_secret_of_superset_is_its_own_default(settings: dict[str, Any]) -> None:
    assert settings["SECRET_KEY"] == settings["GUEST_TOKEN_JWT_SECRET"] == "key"
    assert settings["SQLALCHEMY_DATABASE_URI"] == "postgresql+psycopg2://superset:x@127.0.0.1:1/superset"
