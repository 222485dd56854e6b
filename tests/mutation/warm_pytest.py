"""A pytest that has its imports behind it: each run is a fork of one process that imported the slow packages once.

A mutant's tests often take less time than `import pandas, sklearn, dagster`, and there are thousands of
mutants. Our own package is never imported before the fork, so that each run reads the mutant.

`python -I -S warm_pytest.py <socket> <output> <argument> ...` asks a running server for one run in the current
directory and exits with pytest's code; when the asker is killed, the run is killed with all it started.
"""

import socket
import sys

PRELOADED = (
    "hypothesis", "pytest", "numpy", "pandas", "pyarrow.parquet", "pyarrow.compute", "duckdb", "scipy.stats", "sklearn.ensemble",
    "sklearn.linear_model", "sklearn.metrics", "dagster", "pydantic", "yaml",
)  # fmt: skip
CRASHED = 70


def ask(address: str, output: str, arguments: list[str]) -> int:
    """The exit code of one run; `CRASHED` when it ended without saying one."""
    import json
    import os

    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(address)
        asker.sendall(json.dumps([os.getcwd(), output, arguments]).encode() + b"\n")  # noqa: PTH109 - pathlib would double the asker's start
        answer = asker.makefile("rb").readline()
    return int(answer) if answer else CRASHED


def serve(address: str) -> None:
    """Import, listen, fork a child for each asker; never returns."""
    import importlib
    import os
    import signal

    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            asker, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                _run(asker)
            asker.close()


def _run(asker: socket.socket) -> None:
    import atexit
    import json
    import os
    import threading
    import traceback

    os.setsid()
    with asker.makefile("rb") as question:
        folder, output, arguments = json.loads(question.readline())
    threading.Thread(target=_die_with, args=(asker,), daemon=True).start()
    os.chdir(folder)
    sys.path.insert(0, folder)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = CRASHED
    try:
        import pytest

        code = int(pytest.main(arguments))
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    asker.sendall(f"{code}\n".encode())
    os._exit(code)


def _die_with(asker: socket.socket) -> None:
    """Kill this run and all it started once the asker is gone."""
    import os
    import signal

    if not asker.recv(1):
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    raise SystemExit(ask(sys.argv[1], sys.argv[2], sys.argv[3:]))
