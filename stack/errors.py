"""What can go wrong with the stack, each as one line that says what to do.

The command line prints the message of a StackError and exits with status 2; everything else is a bug and keeps its
traceback.
"""


class StackError(Exception):
    """The stack cannot do what was asked; the message names the fault and the remedy in one line."""


class SettingError(StackError):
    """A setting is missing or malformed."""


class CheckFailed(StackError):
    """The machine or the state folder is not fit to start the stack."""


class StartFailed(StackError):
    """A process or a one-time job did not become ready."""


class NotRunning(StackError):
    """The command needs a running stack and there is none."""
