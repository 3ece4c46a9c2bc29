"""The options of `unisock check` for a site, and what is done with them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import click

from ..groups import Options
from ..output import complain, say
from ..terminal.tls import client_tls
from .target import Target

__all__ = ["SITE", "SITE_NAMES", "attempt_site"]

SITE = (
    Options("Trying a site")
    .add("--url", metavar="URL", help="The site: try each endpoint of the configuration there.")
    .add("-H", "--header", "headers", metavar="NAME:VALUE", multiple=True, help="A header.")
    .add("--token", help="Who you are, by a bearer token.")
    .add("-o", "--origin", help="The page to come from; one of the site itself unless given.")
    .add(
        "--ca",
        type=click.Path(exists=True, dir_okay=False),
        help="A PEM file: trust certificates of these authorities.",
    )
    .add("-n", "--no-check", "check", flag_value=False, default=True, help="Trust any certificate.")
    .add(
        "--idle",
        metavar="SECONDS",
        type=click.FloatRange(0),
        default=0.0,
        help="Also hold a session for so long, to see whether somebody cuts it: 90 is telling.",
    )
    .add(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        default=10.0,
        show_default=True,
        help="Seconds to wait for each response.",
    )
)
SITE_NAMES = ("url", "headers", "token", "origin", "ca", "check", "idle", "timeout")


def attempt_site(
    ctx: click.Context, targets: Sequence[Target], options: Mapping[str, Any], *, as_json: bool
) -> bool:
    """Try these endpoints, and print what came of it.

    :returns: whether nothing is broken
    :raises ConfigError: what is needed for it is not installed
    """
    from . import report, trying  # they need httpx

    plan = trying.Plan(
        targets=tuple(targets),
        headers=_headers(ctx, options),
        tls=_tls(options),
        timeout=options["timeout"],
        idle=options["idle"],
    )

    def tell(outcome: trying.Outcome) -> None:
        if not as_json:
            report.show(outcome)

    async def run() -> Sequence[trying.Outcome]:
        return await trying.attempt(plan, tell)

    outcomes = anyio.run(run, backend="asyncio")
    if as_json:
        click.echo(report.as_json(outcomes))
    else:
        report.show_lines(report.lines_to_add(outcomes))
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    broken = sum(finding.state == "broken" for finding in findings)
    unknown = sum(finding.state == "unknown" for finding in findings)
    if broken:
        complain(f"{broken} of {len(findings)} checks failed")
    elif unknown:
        say(f"{unknown} of {len(findings)} checks could not be made", colour="yellow")
    else:
        say(f"all {len(findings)} checks passed")
    return not broken


def _headers(ctx: click.Context, options: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for header in options["headers"]:
        name, colon, value = header.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            ctx.fail(f"-H {header}: write it as NAME:VALUE, such as 'X-Api-Key: secret'")
        pairs.append((name.strip(), value.strip()))
    if options["token"] is not None:
        pairs.append(("Authorization", f"Bearer {options['token']}"))
    if options["origin"] is not None:
        pairs.append(("Origin", options["origin"]))
    return tuple(pairs)


def _tls(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    return client_tls(ca=options["ca"], check=options["check"])
