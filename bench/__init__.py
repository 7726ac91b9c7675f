"""Benchmarks: one file each, its figures beside the ceiling that was measured in the same run. Never a test."""
