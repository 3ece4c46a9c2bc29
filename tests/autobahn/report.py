"""What Autobahn's fuzzing client reports, and what of it is a fault.

``wstest`` ends with 0 whatever happened. What happened is in ``index.json`` of its report.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragments",
    6: "UTF-8",
    7: "closing",
    9: "large messages",
    10: "auto-fragmentation",
    12: "compression",
    13: "its parameters",
}
"""The groups of cases that are run."""

COMPRESSION = (12, 13)
"""Those of permessage-deflate (RFC 7692), which are for who offers it."""

BEHAVIORS = ("OK", "INFORMATIONAL", "NON-STRICT")
"""What is no fault, the best first. NON-STRICT has to be explained."""

EXPLAINED = re.compile(r"^\| ([\d.]+) \| ([^|]+) \| NON-STRICT \|", re.MULTILINE)


class ReportError(Exception):
    """The report is not there, or is none."""


class Entry(msgspec.Struct, rename="camel"):
    """A case in ``index.json``: how the conversation went, and how it was closed."""

    behavior: str
    behavior_close: str
    duration: int
    reportfile: str


class Details(msgspec.Struct, rename="camel"):
    """The report of one case, as far as it is used."""

    result: str
    result_close: str
    remote_close_code: int | None = None
    remote_close_reason: str | None = None


@dataclass(frozen=True)
class Case:
    """A case that was run.

    :ivar behavior: the worse of its two behaviours
    :ivar why: in Autobahn's words, and how the server closed the connection
    :ivar page: for the browser
    """

    id: str
    behavior: str
    seconds: float
    why: str
    page: Path

    @property
    def group(self) -> int:
        """The first number of its id."""
        return int(self.id.partition(".")[0])


def read(folder: Path, agent: str) -> list[Case]:
    """The cases of an agent in the report in a folder, in order.

    :raises ReportError: there is no such report
    """
    index = folder / "index.json"
    agents = _load(index, dict[str, dict[str, Entry]])
    if agent not in agents:
        raise ReportError(f"{index} does not name {agent}")
    cases = [_case(folder, number, entry) for number, entry in agents[agent].items()]
    return sorted(cases, key=lambda case: [int(part) for part in case.id.split(".")])


def _case(folder: Path, number: str, entry: Entry) -> Case:
    path = folder / entry.reportfile
    details = _load(path, Details)
    worse = max(entry.behavior, entry.behavior_close, key=_badness)
    why = details.result if _badness(entry.behavior) == _badness(worse) else details.result_close
    if details.remote_close_code is not None:
        why += f" (closed with {details.remote_close_code}"
        why += f": {details.remote_close_reason})" if details.remote_close_reason else ")"
    return Case(number, worse, entry.duration / 1000, why, path.with_suffix(".html"))


def _load(path: Path, kind: type[T]) -> T:
    try:
        # Not by msgspec: there are halves of surrogate pairs in what was sent.
        return msgspec.convert(json.loads(path.read_bytes()), kind)
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error


def _badness(behavior: str) -> int:
    return BEHAVIORS.index(behavior) if behavior in BEHAVIORS else len(BEHAVIORS)


def explained(page: str, adapter: str) -> set[str]:
    """The NON-STRICT cases of an adapter in the table of the documentation."""
    return {case for case, adapters in EXPLAINED.findall(page) if f"`{adapter}`" in adapters}


def faults(
    cases: Collection[Case], chosen: Collection[str], allowed: Collection[str]
) -> Iterator[str]:
    """What is wrong with a run, a line each.

    :param chosen: the cases that were to be run
    :param allowed: those of them that may be NON-STRICT
    """
    for case in cases:
        if case.behavior not in BEHAVIORS:
            yield f"{case.id} is {case.behavior}: {case.why}; see {case.page}"
        elif case.behavior == "NON-STRICT" and case.id not in allowed:
            yield f"{case.id} is NON-STRICT, and the documentation does not explain it: {case.page}"
        elif case.behavior != "NON-STRICT" and case.id in allowed:
            yield f"{case.id} is {case.behavior}; the documentation still says NON-STRICT"
    ran = {case.id for case in cases}
    missing = [case for case in chosen if case not in ran]
    if missing:
        yield f"no result for {', '.join(missing)}"
