"""The `millrace` command line; main.py assembles it."""
