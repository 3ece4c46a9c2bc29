"""``unisock connect``"""

from __future__ import annotations

import base64
import logging
import re
import ssl
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import click

from ..url import parse_url
from .groups import GroupedCommand, Options, group
from .output import complain, on_terminal

__all__ = ["command"]

FILE = click.Path(exists=True, dir_okay=False)
ASK = "\0ask"
"""The value of an option whose text is still to be asked for."""
WAIT = 2.0
_LISTENER_KNOWS = frozenset(
    {
        "listen",
        "target",
        "host",
        "subprotocols",
        "certificate",
        "key",
        "passphrase",
        "compression",
        "codec",
        "wait",
        "slash",
        "show_pings",
        "colour",
        "as_json",
        "timestamps",
    }
)

REQUEST = (
    Options("What the request says")
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
    .add("--compression", is_flag=True, help="Offer permessage-deflate.")
)
WAY = (
    Options("The way there")
    .add("--ca", type=FILE, help="A PEM file: trust certificates of these authorities.")
    .add("--cert", "certificate", type=FILE, help="A PEM file: the certificate to show.")
    .add("--key", type=FILE, help="A PEM file: its private key, if it is not in there.")
    .add(
        "--passphrase",
        is_flag=False,
        flag_value=ASK,
        metavar="[TEXT]",
        help="Of the key; without TEXT you are asked for it.",
    )
    .add("-n", "--no-check", "check", flag_value=False, default=True, help="Trust any certificate.")
    .add("--host", help="What the server is called, if not as in URL; with -l, where to listen.")
    .add("--proxy", metavar="URL", help="Go through it; http_proxy and its kin are known too.")
    .add("-L", "--location", "follow", is_flag=True, help="Follow redirections.")
    .add(
        "--max-redirects",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="How many, with -L.",
    )
    .add(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        default=10.0,
        show_default=True,
        help="Seconds to wait for the connection, and for answers to events.",
    )
    .add(
        "--no-reconnect",
        "reconnect",
        flag_value=False,
        default=True,
        help="End when the connection is lost. With -x and --emit it always does.",
    )
)
SENT = (
    Options("What is sent")
    .add("-x", "--execute", metavar="MESSAGE", multiple=True, help="Send this, wait, and leave.")
    .add(
        "--emit",
        "event",
        metavar="NAME",
        help="Send an event with the arguments behind URL, wait, and leave.",
    )
    .add("--request", is_flag=True, help="With --emit: wait for the answer, and print it.")
    .add("--channel", metavar="NAME", help="Speak on this channel.")
    .add("--channel-auth", metavar="JSON", help="What its server is given to let you in.")
    .add(
        "--codec",
        type=click.Choice(["raw", "json", "msgpack"]),
        help="Messages are as they are (raw, the default), or values. Events and channels need "
        "json, which is their default, or msgpack.",
    )
    .add(
        "-w",
        "--wait",
        metavar="SECONDS",
        type=click.FloatRange(0),
        help="How long to stay after the last message: 2, or 0 after an answer; inf for ever.",
    )
    .add("--slash", is_flag=True, help="Lines such as /ping are commands; see below.")
)
SHOWN = (
    Options("What is shown")
    .add("--json", "as_json", is_flag=True, help="A JSON object a line, for programs.")
    .add("-t", "--timestamps", is_flag=True, help="The time before each line.")
    .add("-P", "--show-ping-pong", "show_pings", is_flag=True, help="Pings and pongs, both ways.")
    .add("--no-color", "colour", flag_value=False, default=True, help="No colours.")
)
OTHER = Options("Being the server").add(
    "-l",
    "--listen",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Wait for a client, one at a time; a path may stand in the place of URL.",
)


@click.command(
    "connect",
    cls=GroupedCommand,
    epilog="""\b
Commands, on lines that begin with a slash:
  /help, /status, /reconnect, /quit                      always, at a terminal
  /ping, /pong, /close [CODE [REASON]], /hex, /emit      with --slash, also in a pipe

\b
Examples:
  unisock connect localhost:8000/ws
  unisock connect wss://example.com/ws --token "$TOKEN" -t
  unisock connect :8000/ws -x hello -w 1
  unisock connect :8000/ws --emit rename Ada --request
  unisock connect :8000/ws --channel news --json | jq .data
  tail -f log | unisock connect :8000/ws
  unisock connect --listen 8000

\b
Exit codes:
  0    the server or you closed in good order
  1    refused, unreachable, lost, or something could not be sent
  2    wrong usage
  130  Ctrl-C
""",
)
@click.argument("target", metavar="[URL]", required=False)
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@group(REQUEST, WAY, SENT, SHOWN, OTHER)
@click.pass_context
def command(ctx: click.Context, /, arguments: Sequence[str], **options: Any) -> None:
    """Talk to a WebSocket: type lines, and see what comes.

    In a pipe, lines of standard input are messages, and messages are lines of standard output.
    URL may be as short as :8000/ws. The ARGs are those of --emit; each is JSON, or a string where
    it is none.
    """
    if arguments and options["event"] is None:
        ctx.fail(f"{arguments[0]!r} is one word too many; arguments go with --emit NAME")
    if options["listen"] is not None:
        run = _listening(ctx, options)
    elif options["target"] is None:
        ctx.fail("where to? Write: unisock connect ws://127.0.0.1:8000/ws")
    else:
        run = _conversation(ctx, arguments, options)
    _speak_up()
    raise click.exceptions.Exit(anyio.run(run, backend="asyncio"))


def _listening(ctx: click.Context, options: dict[str, Any]) -> Any:
    from .terminal.listening import Listening, ListenPlan
    from .terminal.tls import ask_passphrase

    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and name not in _LISTENER_KNOWS and name != "arguments":
            ctx.fail(f"{parameter.opts[-1]} is for who connects; it cannot go with --listen")
    path = options["target"] or "/"
    if not path.startswith("/"):
        ctx.fail(f"with --listen, a path such as /ws stands in the place of URL, and not {path!r}")
    if options["key"] and not options["certificate"]:
        ctx.fail("--key goes with --cert: the certificate that the key is for")
    passphrase = options["passphrase"]
    plan = ListenPlan(
        port=options["listen"],
        host=options["host"] or "127.0.0.1",
        path=path,
        subprotocols=options["subprotocols"],
        certificate=options["certificate"],
        key=options["key"],
        passphrase=ask_passphrase() if passphrase in (ASK, "") else passphrase,
        compression=options["compression"],
        codec=options["codec"] or "raw",
        wait=options["wait"],
        slash=options["slash"],
        show_pings=options["show_pings"],
        typed=_typed(),
        colour=options["colour"],
    )
    return Listening(plan, _screen(options, plan.codec)).run


def _conversation(ctx: click.Context, arguments: Sequence[str], options: dict[str, Any]) -> Any:
    from .terminal.conversation import Conversation, Plan
    from .terminal.talk import read_value

    event, one_shot = options["event"], bool(options["execute"] or options["event"])
    if options["request"] and event is None:
        ctx.fail("--request goes with --emit NAME")
    if options["channel_auth"] is not None and options["channel"] is None:
        ctx.fail("--channel-auth goes with --channel NAME")
    auth = options["channel_auth"]
    wait = options["wait"]
    if wait is None:
        wait = 0.0 if options["request"] else WAIT
    structured = event is not None or options["channel"] is not None
    plan = Plan(
        url=complete(options["target"]),
        headers=_headers(ctx, options),
        token=options["token"],
        origin=options["origin"],
        subprotocols=options["subprotocols"],
        tls=_tls(options),
        server_name=options["host"],
        proxy=options["proxy"] or True,
        redirects=options["max_redirects"] if options["follow"] else 0,
        compression=options["compression"],
        codec=options["codec"] or ("json" if structured else "raw"),
        reconnect=options["reconnect"] and not one_shot,
        timeout=options["timeout"],
        wait=wait,
        execute=options["execute"],
        event=None if event is None else (event, [read_value(text) for text in arguments]),
        request=options["request"],
        channel=options["channel"],
        channel_auth=None if auth is None else read_value(auth),
        slash=options["slash"],
        show_pings=options["show_pings"],
        typed=_typed() and not one_shot,
        colour=options["colour"],
    )
    conversation = partial(Conversation, plan, _screen(options, plan.codec))
    return _running(conversation)


def _running(conversation: Any) -> Any:
    async def run() -> int:
        code: int = await conversation().run()
        return code

    return run


def complete(target: str) -> str:
    """The URL that somebody means who writes ``:8000/ws``.

    :raises ConfigError: it is none
    """
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*(://|\+unix:)", target) and "+unix:" not in target:
        target = f"ws://localhost{target}" if target.startswith((":", "/")) else f"ws://{target}"
    parse_url(target)
    return target


def _headers(ctx: click.Context, options: dict[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for header in options["headers"]:
        name, colon, value = header.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            ctx.fail(f"-H {header}: write it as NAME:VALUE, such as 'X-Api-Key: secret'")
        pairs.append((name.strip(), value.strip()))
    auth = options["auth"]
    if auth is not None:
        if options["token"] is not None:
            ctx.fail("--auth and --token are two ways to say who you are; choose one")
        if ":" not in auth:
            ctx.fail("--auth: write it as USER:PASSWORD")
        secret = base64.b64encode(auth.encode()).decode()
        pairs.append(("Authorization", f"Basic {secret}"))
    return pairs


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    from .terminal.tls import ask_passphrase, client_tls

    passphrase = options["passphrase"]
    return client_tls(
        ca=options["ca"],
        certificate=options["certificate"],
        key=options["key"],
        passphrase=ask_passphrase() if passphrase in (ASK, "") else passphrase,
        check=options["check"],
    )


def _screen(options: dict[str, Any], codec: str) -> Any:
    from .terminal.screen import PeopleScreen, ScriptScreen

    raw = codec == "raw"
    if options["as_json"]:
        return ScriptScreen(raw=raw)
    return PeopleScreen(raw=raw, colour=options["colour"], timestamps=options["timestamps"])


def _typed() -> bool:
    return on_terminal(sys.stdin) and on_terminal(sys.stdout)


class _Complaints(logging.Handler):
    """What goes wrong within unisock; all else the user is told in better words."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(self.format(record))


def _speak_up() -> None:
    handler = _Complaints(logging.ERROR)
    logger = logging.getLogger("unisock")
    logger.addHandler(handler)
    logger.propagate = False
