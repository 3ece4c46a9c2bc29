"""Compares unisock's SockJS and Engine.IO with those of others, in one run.

    make bench ARGS="emulations sockjs --adapters picows tornado --rounds 8"

As in ``make bench``, server and load each have a core of their own, rounds are interleaved, and
ratios are medians over rounds of pairs of the same round.
"""

import argparse
import os
import random
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from emulated_load import PROTOCOLS, SIZE
from emulated_servers import command
from load import Result
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

PEERS = {
    "sockjs": ["sockjs-tornado", "npm sockjs"],
    "engineio": ["python-engineio", "npm engine.io"],
}
ADAPTERS = ["picows", "aiohttp", "tornado", "asgi"]
Results = dict[str, dict[str, list[Result]]]

cores = sorted(os.sched_getaffinity(0))


@contextmanager
def running(side: str, protocol: str) -> Iterator[tuple[int, int]]:
    """A server process: its id and its port."""
    process = subprocess.Popen(command(side, protocol), stdout=subprocess.PIPE, text=True)
    try:
        if len(cores) > 1:
            for task in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(task), {cores[0]})
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def compare(
    protocol: str,
    sides: list[str],
    chosen: str,
    rounds: int,
    seconds: float,
    progress: Progress,
) -> Results:
    """By workload and side, a result for each round."""
    workloads = {name: work for name, work in PROTOCOLS[protocol].items() if chosen in name}
    results: Results = {name: {side: [] for side in sides} for name in workloads}
    task = progress.add_task(protocol, total=rounds * len(sides) * len(workloads))
    for _ in range(rounds):
        for side in random.sample(sides, len(sides)):
            with running(side, protocol) as (pid, port):
                for name, work in workloads.items():
                    progress.update(task, advance=1, description=f"{side}: {name}")
                    results[name][side].append(work(pid, port, seconds))
    return results


def table(protocol: str, results: Results, peers: list[str], adapters: list[str]) -> Table:
    drawn = Table(title=f"{protocol}, {SIZE}-byte messages", title_justify="left")
    drawn.add_column("µs of CPU for a message", min_width=34)
    for side in [*peers, *adapters]:
        drawn.add_column(side, justify="right")
    for name, by_side in results.items():
        cells: list[str] = []
        for side in [*peers, *adapters]:
            ours = by_side[side]
            cell = f"{statistics.median(one.cpu_us for one in ours):.1f}"
            if side in adapters:
                times = [
                    statistics.median(
                        their.cpu_us / our.cpu_us
                        for their, our in zip(by_side[peer], ours, strict=True)
                    )
                    for peer in peers
                ]
                cell += "".join(f"\n× {one:.1f}" for one in times)
            cells.append(cell)
        drawn.add_row(name, *cells, end_section=True)
    return drawn


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help="sockjs, engineio")
    parser.add_argument("--adapters", nargs="*", default=ADAPTERS, metavar="ADAPTER")
    parser.add_argument("--only", default="", help="a part of the workloads' names")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    options = parser.parse_args(arguments)
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:2]))
    console = Console()
    console.print(
        f"{options.rounds} rounds of {options.seconds} s. µs are of the server's CPU, for each "
        "message; × is how many more messages a second of CPU carries than with each peer."
    )
    with Progress(console=console, transient=True) as progress:
        for protocol in options.protocols or PROTOCOLS:
            peers = PEERS[protocol]
            results = compare(
                protocol,
                [*peers, *options.adapters],
                options.only,
                options.rounds,
                options.seconds,
                progress,
            )
            console.print(table(protocol, results, peers, options.adapters))
