"""The local stack: real servers as plain processes, and the `millrace` command that runs them.

It starts processes and hands them their settings as environment variables. It holds no business rule and no
knowledge of tables; nothing but the command line, bench and the tests may import it.
"""
