"""Runs Autobahn's fuzzing client, which is a program for Python 2.7."""

import fnmatch
import json
import os
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

BIN = Path(__file__).resolve().parents[2] / ".tools/autobahn/bin"
PATIENCE = 600
"""Seconds until the client must begin its next case; those of compression take it a minute."""

NEXT = "Running test case ID "
"""What it prints before each case."""

LIST = """
from autobahntestsuite.case import CaseBasename, Cases
for case in Cases:
    print(case.__name__[len(CaseBasename):].replace("_", "."))
"""


class ClientError(Exception):
    """The client did not do its work."""


def known() -> list[str]:
    """The ids of all cases.

    :raises ClientError: the client is not installed, or does not work
    """
    try:
        listed = subprocess.run([BIN / "python", "-c", LIST], capture_output=True, text=True)
    except FileNotFoundError:
        raise ClientError("Autobahn is not installed; type: make autobahn") from None
    if listed.returncode:
        raise ClientError(f"Autobahn does not work; remove .tools/autobahn\n{listed.stderr}")
    return listed.stdout.split()


def choose(patterns: Sequence[str], cases: Sequence[str]) -> list[str]:
    """The cases with these ids, or that match patterns such as ``6.*``.

    :raises ClientError: there is none for one of them
    """
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = fnmatch.filter(cases, pattern)
        if not found:
            raise ClientError(f"there is no case {pattern}; try 6.4.3, or 6.* for a whole group")
        chosen |= dict.fromkeys(found)
    return [*chosen]


async def fuzz(
    url: str, cases: Sequence[str], agent: str, folder: Path, step: Callable[[str], None]
) -> None:
    """Let the client talk to a server; its report goes into a folder.

    :param cases: ids
    :param agent: what the report is to call the server
    :param step: called with the id of each case that begins
    :raises ClientError: it wrote no report, or goes on no more
    """
    spec = folder / "spec.json"
    server = {"agent": agent, "url": url}
    spec.write_text(
        json.dumps(
            {
                "outdir": str(folder),
                "servers": [server],
                "cases": cases,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    last: list[str] = []
    case = "none"
    try:
        async with aclosing(_lines(spec)) as lines:
            async for line in lines:
                last = [*last[-9:], line]
                if line.startswith(NEXT):
                    case = line.removeprefix(NEXT).split()[0]
                    step(case)
    except TimeoutError:
        told = f"nothing has happened for {PATIENCE} seconds; the last case was {case}"
        raise ClientError(told) from None
    if not (folder / "index.json").exists():
        raise ClientError("\n".join(["wstest wrote no report; its last words:", *last]))


async def _lines(spec: Path) -> AsyncGenerator[str]:
    """What the client prints until it ends."""
    command = [str(BIN / "wstest"), "--mode", "fuzzingclient", "--spec", str(spec)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    async with await anyio.open_process(
        command, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None
        stream = BufferedByteReceiveStream(process.stdout)
        try:
            while True:
                with anyio.fail_after(PATIENCE):
                    line = await stream.receive_until(b"\n", 1 << 20)
                yield line.decode(errors="replace")
        except (anyio.IncompleteRead, anyio.EndOfStream):
            pass
        finally:
            if process.returncode is None:
                process.terminate()
