"""Superset's settings, made of the stack's environment; Superset reads every name in capitals.

Nothing of a page comes from another machine and nothing is told to one: the policy below leaves the browser no address but
Superset's own, so the pixel by which Superset counts its users stays unfetched.
"""

import os
from typing import Any

APP_NAME = "Millrace"
SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
GUEST_TOKEN_JWT_SECRET = SECRET_KEY
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_DSN"].replace("postgresql://", "postgresql+psycopg2://", 1)
"""Superset's own tables; its SQLAlchemy knows psycopg 2 only."""

TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
RATELIMIT_STORAGE_URI = "memory://"
"""One process serves, so attempts to log in are counted within it."""

ROW_LIMIT = 10_000
SQL_MAX_ROW = 10_000
SQLLAB_TIMEOUT = 60
SUPERSET_WEBSERVER_TIMEOUT = 60
"""Seconds, as many as ClickHouse gives an analyst's question."""

ASKED = "__asked"
"""Ends the name of everything that a chart selects."""


def FLASK_APP_MUTATOR(app: Any) -> None:  # noqa: N802  (Superset's name for it)
    """Give what a chart selects another name than its columns have.

    Superset says `SELECT toMonday(day) AS day, sum(orders) AS orders ... WHERE day >= ... GROUP BY day`. In ClickHouse an
    alias hides the column of its name, so the range of days would be held against Mondays, and a metric named like its
    column would be an aggregate of itself. Nobody sees the name: Superset gives the answer's columns theirs again.
    """
    del app
    from superset.db_engine_specs.clickhouse import ClickHouseConnectEngineSpec

    ClickHouseConnectEngineSpec._mutate_label = staticmethod(lambda label: label + ASKED)


CURRENCIES = ["EUR", "CHF", "GBP", "USD"]
FEATURE_FLAGS = {"ALERT_REPORTS": False, "DRILL_BY": True}
