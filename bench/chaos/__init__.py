"""Chaos: a mixed load on a captured database while every process is killed, stopped and cut off at random.

What is written and what is broken when follows from the seed. The outcome is judged by sorted dumps of both sides, not by the
engine's own verification.
"""
