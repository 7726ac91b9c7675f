"""The keeper: looks after what no sink can see for itself, in a process of its own (``python -m cdc.keeper``).

It restarts failed connector tasks, watches how much log each slot keeps, raises a source's epoch when its log is not the one that was
captured, follows shapes and tables, makes copies anew in another shape, settles the floors that TRUNCATE leaves, and mends copies
that something has asked to be mended.
"""
