"""The failures of the CDC engine, as types: each class has one rule for who may retry.

CdcError
+-- TransientError    the same call may succeed later; the caller retries with backoff
+-- PermanentError    a person must change something (configuration, rights, schema); never retried
|   +-- ConfigurationError   a source file or a setting is wrong; nothing was changed
|   +-- LostOffsetError      a committed position is no longer in the log; the table must be repaired
+-- DataError         one row cannot be written as it is; names the table, the key and the reason
"""


class CdcError(Exception):
    """Base of every failure the engine raises on purpose; its text is one line that says what to do."""


class TransientError(CdcError):
    """A part did not answer or is overloaded; trying again later is right."""


class PermanentError(CdcError):
    """Trying again cannot help; a person has to act."""


class ConfigurationError(PermanentError):
    """A source file or a setting is wrong; refused before anything was changed."""


class LostOffsetError(PermanentError):
    """The position a sink must read from is no longer in the topic; rows may be missing until a repair."""


class DataError(CdcError):
    """A target refuses a row; the sink stops rather than lose it."""
