"""Run ClickHouse from its shared library, as a server, until SIGTERM.

The library offers clickhouse-local, which opens the real HTTP and native listeners on request and then reads further
queries from standard input, our end of a pipe: closing the pipe shuts it down in good order. It takes the library's
path, a configuration file and the server's folder for data; it knows nothing else of the stack.

The library keeps its database `system` in memory, and forgets with it the tables whose files it has left: the log of queries could not
be made again beside them, for as long as they are there. So they go before it starts, and the log begins anew.
"""

import ctypes
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

OPEN_LISTENERS = b"SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP;"
ENDING = {signal.SIGTERM, signal.SIGINT}


def main(library: str, configuration: str, data: str) -> int:
    """Serve until a signal ends us; returns 0 when the library ended in good order."""
    shutil.rmtree(Path(data) / "data" / "system", ignore_errors=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # inherited by every thread, so that only ours takes the signal
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)

    def close_on_signal() -> None:
        signal.sigwait(ENDING)
        os.close(writing)

    threading.Thread(target=close_on_signal, daemon=True).start()
    run = ctypes.CDLL(library).chdb_query_cmdline
    run.restype = ctypes.c_void_p
    words = ["clickhouse-local", f"--config-file={configuration}"]
    words += ["--queries-file", _readable(OPEN_LISTENERS), "--queries-file", "/dev/stdin"]
    encoded = [word.encode() for word in words]
    return 0 if run(len(encoded), (ctypes.c_char_p * len(encoded))(*encoded)) else 1


def _readable(content: bytes) -> str:
    """Path of a nameless file that holds the content for as long as we live."""
    descriptor = os.memfd_create("queries")
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
