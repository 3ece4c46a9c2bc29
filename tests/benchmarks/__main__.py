"""Compares each adapter with its bare driver, in one run: ``make bench``.

    python tests/benchmarks --rounds 8 --seconds 1 websockets tornado
    python tests/benchmarks emulations sockjs --adapters picows

The second compares SockJS and Engine.IO with those of others: see `emulations.py`.

Server and load each have a core of their own, where there are two. Rounds are interleaved, so that
a slow minute of the machine hits both; ratios are medians over rounds of pairs of the same round.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import emulations
import load
from load import Result
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from servers import BARE

SIZE = 128
SERVERS = Path(__file__).with_name("servers.py")
Workload = Callable[[int, int, str, float], Result]


def echo(connections: int, depth: int) -> Workload:
    def work(pid: int, port: int, suffix: str, seconds: float) -> Result:
        with load.clients(port, f"/echo{suffix}", connections) as opened:
            load.echo(opened, depth, SIZE, 0)
            return load.measure(pid, lambda until: load.echo(opened, depth, SIZE, until), seconds)

    return work


def broadcast(members: int, depth: int) -> Workload:
    def work(pid: int, port: int, suffix: str, seconds: float) -> Result:
        with load.clients(port, f"/broadcast{suffix}", members) as opened:
            load.broadcast(opened, depth, SIZE, 0)
            return load.measure(
                pid, lambda until: load.broadcast(opened, depth, SIZE, until), seconds
            )

    return work


def churn(pid: int, port: int, suffix: str, seconds: float) -> Result:
    return load.measure(pid, lambda until: load.churn(port, f"/echo{suffix}", until), seconds)


WORKLOADS: dict[str, Workload] = {
    "echo, 1 connection": echo(1, 1),
    "echo, 100 connections": echo(100, 1),
    "echo, 100 connections, 16 under way": echo(100, 16),
    "broadcast to 1000": broadcast(1000, 1),
    "connect and close": churn,
}


def idle_kib(pid: int, port: int, suffix: str, connections: int = 1000) -> float:
    """Private memory for each idle connection, after one message each."""
    with load.clients(port, f"/echo{suffix}", 50) as opened:
        load.echo(opened, 1, SIZE, 0)
    before = load.private_bytes(pid)
    with load.clients(port, f"/echo{suffix}", connections) as opened:
        load.echo(opened, 1, SIZE, 0)
        return (load.private_bytes(pid) - before) / connections / 1024


@contextmanager
def running(kind: str, adapter: str) -> Iterator[tuple[int, int, str]]:
    """A server process: its id, its port, and what to put behind a path."""
    process = subprocess.Popen(
        [sys.executable, str(SERVERS), kind, adapter], stdout=subprocess.PIPE, text=True
    )
    try:
        if len(cores) > 1:
            os.sched_setaffinity(process.pid, {cores[0]})
        assert process.stdout is not None
        port = int(process.stdout.readline())
        # A SockJS endpoint takes plain WebSockets below its path.
        yield process.pid, port, "/websocket" if adapter == "sockjs-tornado" else ""
    finally:
        process.kill()
        process.wait()


cores = sorted(os.sched_getaffinity(0))


def main() -> None:
    if sys.argv[1:2] == ["emulations"]:
        emulations.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("adapters", nargs="*", metavar="ADAPTER", help=f"of: {', '.join(BARE)}")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="two rounds of 0.3 seconds")
    options = parser.parse_args()
    rounds, seconds = (2, 0.3) if options.quick else (options.rounds, options.seconds)
    adapters = options.adapters or list(BARE)
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:2]))
    console = Console()
    console.print(
        f"Python {sys.version.split()[0]}, {SIZE}-byte text messages, {rounds} rounds of "
        f"{seconds} s; µs are of the server's CPU, for each message."
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=len(adapters) * 2 * (rounds * len(WORKLOADS) + 1))
        for adapter in adapters:
            results, memory = compare(
                adapter,
                rounds,
                seconds,
                lambda text: progress.update(task, advance=1, description=text),
            )
            console.print(table(adapter, results, memory))


def compare(
    adapter: str, rounds: int, seconds: float, step: Callable[[str], None]
) -> tuple[dict[str, list[tuple[Result, Result]]], list[float]]:
    """All workloads, on the bare driver and with unisock, in turn."""
    results: dict[str, list[tuple[Result, Result]]] = {name: [] for name in WORKLOADS}
    with running("bare", adapter) as bare, running("unisock", adapter) as ours:
        for number in range(rounds):
            for name, work in WORKLOADS.items():
                pair: dict[str, Result] = {}
                for kind, where in random.sample([("bare", bare), ("ours", ours)], 2):
                    step(f"{adapter}: {name}, round {number + 1}")
                    pair[kind] = work(*where, seconds)
                results[name].append((pair["bare"], pair["ours"]))
    memory: list[float] = []
    for kind in ("bare", "unisock"):
        step(f"{adapter}: memory")
        with running(kind, adapter) as where:
            memory.append(idle_kib(*where))
    return results, memory


def table(
    adapter: str, results: dict[str, list[tuple[Result, Result]]], memory: list[float]
) -> Table:
    drawn = Table(title=f"{adapter} {version(adapter)}", title_justify="left")
    drawn.add_column("", min_width=36)
    for heading in ("bare /s", "unisock /s", "ratio", "bare µs", "unisock µs", "ratio"):
        drawn.add_column(heading, justify="right")
    for name, pairs in results.items():
        rates = [statistics.median(r.rate for r in side) for side in zip(*pairs, strict=True)]
        costs = [statistics.median(r.cpu_us for r in side) for side in zip(*pairs, strict=True)]
        faster = statistics.median(ours.rate / bare.rate for bare, ours in pairs)
        dearer = statistics.median(ours.cpu_us / bare.cpu_us for bare, ours in pairs)
        drawn.add_row(
            name,
            *(f"{rate:,.0f}" for rate in rates),
            f"{faster:.2f}",
            *(f"{cost:.1f}" for cost in costs),
            f"{dearer:.2f}",
        )
    bare, ours = memory
    drawn.add_row("KiB for an idle connection", "", "", "", f"{bare:.1f}", f"{ours:.1f}", "")
    return drawn


if __name__ == "__main__":
    main()
