"""``unisock bench``"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from ..dialing import Options as Way
from ..errors import ConfigError
from ..messages import Message
from ..plain import PlainDialect
from .connect import complete
from .groups import GroupedCommand, Options, group
from .load.running import Plan, Run, Watcher
from .load.summary import Summary, summarize
from .output import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    complain,
    on_terminal,
    say,
    warn,
    write_rows,
)

__all__ = ["command"]

FILE = click.Path(exists=True, dir_okay=False)
POSITIVE = click.FloatRange(0, min_open=True)
OPEN_DEPTH = 1000
REDIRECTS = 10

LOAD = (
    Options("The load")
    .add(
        "-c",
        "--connections",
        type=click.IntRange(1, 65535),  # so many ports has an address
        metavar="N",
        default=10,
        show_default=True,
        help="How many.",
    )
    .add(
        "-d",
        "--depth",
        type=click.IntRange(1),
        metavar="N",
        help="Messages under way on each connection, at most: 1, or 1000 with --rate.",
    )
    .add(
        "--size",
        type=click.IntRange(2),
        default=128,
        show_default=True,
        metavar="BYTES",
        help="The size of a message.",
    )
    .add("--binary", is_flag=True, help="Binary messages.")
    .add("--seconds", type=POSITIVE, metavar="S", help="How long to measure: 5 s by default.")
    .add(
        "--messages",
        type=click.IntRange(1),
        metavar="N",
        help="How many messages to measure, in the place of --seconds.",
    )
    .add(
        "--rate",
        type=POSITIVE,
        metavar="N",
        help="Plan N messages a second in all, whatever is answered. See below.",
    )
    .add(
        "--warmup",
        type=click.FloatRange(0),
        default=0.5,
        show_default=True,
        metavar="S",
        help="How long to send before measuring.",
    )
    .add(
        "--timeout",
        type=POSITIVE,
        default=10.0,
        show_default=True,
        metavar="S",
        help="How long to wait for a connection, and for an answer.",
    )
)
WAY = (
    Options("The way there")
    .add("-H", "--header", "headers", metavar="NAME:VALUE", multiple=True, help="A header.")
    .add("--auth", metavar="USER:PASSWORD", help="Who you are, by HTTP's Basic scheme.")
    .add("--token", help="Who you are, by a bearer token.")
    .add("-o", "--origin", help="The page to come from, such as https://example.com.")
    .add(
        "-s",
        "--subprotocol",
        "subprotocols",
        metavar="NAME",
        multiple=True,
        help="A subprotocol to offer, the best first.",
    )
    .add("--ca", type=FILE, help="A PEM file: trust certificates of these authorities.")
    .add("-n", "--no-check", "check", flag_value=False, default=True, help="Trust any certificate.")
    .add("--host", help="What the server is called, if not as in URL.")
    .add("--proxy", metavar="URL", help="Go through it; http_proxy and its kin are known too.")
    .add("-L", "--location", "follow", is_flag=True, help="Follow redirections.")
)
SHOWN = (
    Options("What comes of it")
    .add("--json", "as_json", is_flag=True, help="Print JSON, for programs; times are in ms.")
    .add(
        "--plot",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help='Draw a picture, an .svg, or a .png (which needs "unisock[plot]").',
    )
)


@click.command(
    "bench",
    cls=GroupedCommand,
    epilog="""\b
Without --rate, each echo sets off the next message (a closed loop): it
measures how much the endpoint can take. But while it stalls nothing is sent,
so that a stall counts once, however many users would have felt it.

\b
With --rate, each message has a planned time (an open loop), and its latency
counts from there, whether or not it could be sent: a stall shows in all
messages that it delays. Ask for a rate below the limit to learn what users
feel. The clock is watched without a pause, which takes one core.

\b
Examples:
  unisock bench :8000/ws
  unisock bench wss://example.com/echo --connections 100 --depth 4
  unisock bench :8000/ws --rate 2000 --seconds 30 --plot latency.svg
  unisock bench :8000/ws --json | jq .latency.p99

\b
Exit codes:
  0    every message came back
  1    something failed; what was measured is shown all the same
  2    wrong usage
  130  Ctrl-C; what was measured is shown all the same
""",
)
@click.argument("url", metavar="URL")
@group(LOAD, WAY, SHOWN)
@click.pass_context
def command(
    ctx: click.Context, /, url: str, as_json: bool, plot: Path | None, **options: Any
) -> None:
    """Measure throughput and latency of a WebSocket that echoes, yours or anybody's.

    Text messages are JSON strings, which an endpoint with any codec for text echoes as they are.
    """
    if options["seconds"] is not None and options["messages"] is not None:
        ctx.fail("--seconds and --messages are two ends; choose one")
    plan = _plan(ctx, complete(url), options)
    if plot is not None:
        _check_plot(plot)
    run = _run(plan)
    summary = summarize(run, plan_url(plan))
    if as_json or run.load is not None:
        _show(summary, as_json=as_json)
    if plot is not None and run.load is not None:
        _draw(plot, run, summary)
    for text in summary.warnings:
        warn(text)
    for text, times in summary.errors.items():
        complain(text if times == 1 else f"{times} × {text}")
    if summary.interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if summary.errors:
        raise click.exceptions.Exit(EXIT_FAILURE)


def plan_url(plan: Plan) -> str:
    """The URL as it is shown, without a password."""
    return re.sub(r"//[^/@]*@", "//", str(plan.way.url))


def _plan(ctx: click.Context, url: str, options: dict[str, Any]) -> Plan:
    from .terminal.tls import client_tls

    rate, messages = options["rate"], options["messages"]
    way = Way(
        url=url,
        headers=_headers(ctx, options),
        token=options["token"],
        origin=options["origin"],
        subprotocols=options["subprotocols"],
        tls=client_tls(ca=options["ca"], check=options["check"]),
        server_name=options["host"],
        proxy=options["proxy"] or True,
        redirects=REDIRECTS if options["follow"] else 0,
        dialect=PlainDialect,
        connector=None,
        options={},
    )
    return Plan(
        way=way,
        connections=options["connections"],
        depth=options["depth"] or (OPEN_DEPTH if rate else 1),
        message=make_message(options["size"], binary=options["binary"]),
        seconds=None if messages else options["seconds"] or 5.0,
        messages=messages,
        rate=rate,
        warmup=options["warmup"],
        timeout=options["timeout"],
    )


def _headers(ctx: click.Context, options: dict[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for header in options["headers"]:
        name, colon, value = header.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            ctx.fail(f"-H {header}: write it as NAME:VALUE, such as 'X-Api-Key: secret'")
        pairs.append((name.strip(), value.strip()))
    if options["auth"] is not None:
        if ":" not in options["auth"]:
            ctx.fail("--auth: write it as USER:PASSWORD")
        secret = base64.b64encode(options["auth"].encode()).decode()
        pairs.append(("Authorization", f"Basic {secret}"))
    return pairs


def make_message(size: int, *, binary: bool) -> Message:
    """A message of so many bytes; a text is a JSON string."""
    return b"x" * size if binary else f'"{"x" * (size - 2)}"'


def _run(plan: Plan) -> Run:
    def run(watch: Watcher) -> Run:
        run = Run(plan, watch)
        anyio.run(run.measure, backend="asyncio")
        return run

    if not on_terminal(sys.stderr):
        return run(lambda phase, done, rate: None)
    from .load.screen import ProgressBar

    with ProgressBar() as bar:
        return run(bar.watch)


def _show(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(summary), indent=2))
        return
    from .load.screen import rows, show_summary

    if on_terminal(sys.stdout):
        show_summary(summary)
    else:
        write_rows(rows(summary))


def _check_plot(path: Path) -> None:
    """See that it can be drawn, before anything is measured.

    :raises ConfigError: it cannot
    """
    from .load.canvas import canvas_for

    canvas_for(path)(1, 1)
    if not path.parent.is_dir():
        raise ConfigError(f"--plot {path}: there is no folder {path.parent}", key="plot")


def _draw(path: Path, run: Run, summary: Summary) -> None:
    from .load.canvas import canvas_for
    from .load.picture import HEIGHT, WIDTH, draw

    assert run.load is not None
    canvas = canvas_for(path)(WIDTH, HEIGHT)
    draw(canvas, summary, run.moments, run.load.latency)
    try:
        canvas.save(path)
    except OSError as error:
        raise ConfigError(f"--plot {path}: {error.strerror or error}", key="plot") from error
    say(f"drew {path}")
