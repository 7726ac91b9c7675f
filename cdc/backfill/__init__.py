"""Backfill: copies existing rows below a fence while the stream runs; later changes win, earlier ones lose.

The same code is the first load, a resync and a repair.
"""
