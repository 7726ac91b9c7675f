"""What Elasticsearch's refusals and silences mean, in one line."""

from typing import Any

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import TransportError
from elasticsearch import ApiError

from cdc.errors import TransientError


def reason_of(info: Any) -> str:
    """Elasticsearch's own words for an error, with its cause, in one line."""
    error = info.get("error", info) if isinstance(info, dict) else info
    if not isinstance(error, dict):
        return str(error)[:500]
    cause = error.get("caused_by", {}).get("reason", "")
    return f"{error.get('type')}: {error.get('reason')}{f' ({cause})' if cause else ''}"[:500]


def unreachable(error: ApiError | TransportError) -> TransientError:
    """The failure of a request that may succeed later."""
    if isinstance(error, TransportConnectionError):
        return TransientError("Elasticsearch does not answer; is it up? `millrace status`")
    return TransientError(f"Elasticsearch cannot take the request now: {str(error)[:300]}")
