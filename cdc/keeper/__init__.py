"""The keeper: looks after what no sink can see for itself, in a process of its own (``python -m cdc.keeper``).

It restarts failed connector tasks, raises a source's epoch when its log is not the one that was captured, settles the floors that
TRUNCATE leaves, and mends copies that something has asked to be mended.
"""
