"""Sinks: consumer groups that write changes to a target and commit an offset only after the target has acknowledged it."""
