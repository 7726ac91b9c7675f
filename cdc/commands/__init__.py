"""``millrace cdc``: plan and apply source files, copy, and prove that the copies are equal.

Each module adds its commands to the one application of `cdc.commands.base`.
"""

from cdc.commands import capture, copying, epochs, erase, letters, page, plugin, proof, status
from cdc.commands.base import app

__all__ = ["app", "capture", "copying", "epochs", "erase", "letters", "page", "plugin", "proof", "status"]
