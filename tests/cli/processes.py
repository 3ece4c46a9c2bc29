"""``unisock`` as a process: its environment in tests, and servers that many tests share."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60


def clean(**more: str) -> dict[str, str]:
    """An environment without what would change the output."""
    unwanted = ("UNISOCK_", "PYTEST_", "NO_COLOR", "FORCE_COLOR")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    return kept | {"PYTHONWARNINGS": "default"} | more


@contextmanager
def serving(application: Path, adapter: str) -> Generator[str]:
    """Run this file with this adapter; gives the address."""
    command = [sys.executable, "-m", "unisock", "serve", application, "--adapter", adapter]
    with subprocess.Popen(
        [*command, "--port", "0"], env=clean(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = None
        for line in process.stderr:
            if address := re.search(r"listening on http://(\S+)", line):
                break
        assert address is not None, "the server did not start"
        rest = threading.Thread(target=process.stderr.read)  # a full pipe would stop it
        rest.start()
        yield address[1]
        process.kill()  # it may have a handler that never ends, and would wait for it
        rest.join(PATIENCE)
