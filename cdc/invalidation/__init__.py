"""Invalidation of caches by change events: a source file says which keys a row stands in, nothing here knows a table.

Parts: `problems` (what plan refuses), `order` (what a source shows now), `target` (Redis), `consumer` (the loop).
"""
