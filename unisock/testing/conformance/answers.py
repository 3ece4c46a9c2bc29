"""Answers that need no task: those that are there at once, and those that are held back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from ...abc import Answer, Gate, Protocol
from ...exchange import Held, Request, Response
from ...registry import offer
from ...server import Server
from ..running import Running
from .base import AdapterTests, eventually
from .exchanges import http_wire

__all__ = ["AnswerTests"]


class Pending(Held):
    """An answer of words, for which somebody waits.

    :ivar words: what it is to say
    :ivar told: what the adapter called
    """

    def __init__(self, *words: str) -> None:
        self.words = [*words]
        self.told: list[str] = []
        self._ready: Callable[[], None] | None = None

    def say(self, word: str) -> None:
        """One word more."""
        self.words.append(word)
        ready, self._ready = self._ready, None
        if ready is not None:
            ready()

    def wait(self, ready: Callable[[], None]) -> None:
        self.told.append("wait")
        if self.words:
            ready()
        else:
            self._ready = ready

    def response(self) -> Response:
        self.told.append("response")
        return Response(200, " ".join(self.words).encode())

    def gone(self) -> None:
        self.told.append("gone")


class Prompt(Protocol):
    """Answers as the last word of the path says, without a coroutine where that can be."""

    name = "prompt"
    needs = frozenset({"http"})
    below = True
    last: Prompt

    def __init__(self, gate: Gate, options: Any = None) -> None:
        super().__init__(gate, options)
        Prompt.last = self
        self.pending: list[Pending] = []
        self.late = 0

    def answer(self, request: Request) -> Answer | Awaitable[Answer]:
        match request.handshake.path.rpartition("/")[2]:
            case "held":
                return self._hold()
            case "ready":
                return self._hold("at", "once")
            case "later":
                return self._later(request)
            case "fault":
                raise RuntimeError("the secret of the house")
            case _:
                body = request.whole_body(1000)
                return self._later(request) if body is None else Response(200, body)

    async def holds(self, number: int) -> Pending:
        """The answer that was held back first, second, …, as soon as it is."""
        await eventually(lambda: len(self.pending) > number)
        pending = self.pending[number]
        await eventually(lambda: pending.told == ["wait"])
        return pending

    async def reads(self, number: int) -> None:
        """Wait until it has begun to read so many bodies that came in pieces."""
        await eventually(lambda: self.late == number)

    def _hold(self, *words: str) -> Held:
        pending = Pending(*words)
        self.pending.append(pending)
        return pending

    async def _later(self, request: Request) -> Answer:
        self.late += 1
        body = await request.body(1000)
        return Response(200, body) if body else self._hold()


offer("protocol", Prompt.name, Prompt)


class AnswerTests(AdapterTests):
    """For adapters with the capability ``http``."""

    @asynccontextmanager
    async def prompting(self) -> AsyncGenerator[tuple[Running, Prompt]]:
        """A server whose one endpoint answers promptly."""
        self.needs("http")
        endpoint = {"path": "/prompt", "codec": "raw", "protocol": "prompt"}
        server = Server(adapter=self.make_adapter(), folder=None, endpoints=[endpoint])
        async with self.serving(server) as running:
            yield running, Prompt.last

    async def test_a_body_is_the_same_whether_it_comes_at_once_or_in_pieces(self) -> None:
        async with self.prompting() as (running, prompt):
            client = await http_wire(running)
            head = (
                f"POST /prompt HTTP/1.1\r\nHost: {running.authority}\r\nContent-Length: 5\r\n\r\n"
            )
            for late, pieces in enumerate((["hello"], ["he", "llo"], ["", "hello"])):
                await client.send_raw((head + pieces[0]).encode())
                if len(pieces) > 1:
                    await prompt.reads(late)
                    await client.send_raw(pieces[1].encode())
                assert await (await client.response()).read() == b"hello"
            await client.send("/prompt", method="POST", body=b"x" * 1001)
            assert (await client.response()).status == 413
            await client.drop()

    async def test_a_fault_before_there_is_a_coroutine_is_a_500(self) -> None:
        async with self.prompting() as (running, _):
            answer = await running.request("/prompt/fault")
            assert (answer.status, b"secret" in answer.body) == (500, False)
            assert (await running.request("/prompt", method="POST", body=b"x")).body == b"x"

    @pytest.mark.parametrize("path", ["held", "later"])
    async def test_a_held_answer_has_all_that_is_said_in_one_turn(self, path: str) -> None:
        async with self.prompting() as (running, prompt):
            for turn in range(2):
                bodies: list[bytes] = []
                async with anyio.create_task_group() as group:

                    @group.start_soon
                    async def ask(bodies: list[bytes] = bodies) -> None:
                        bodies.append((await running.request(f"/prompt/{path}")).body)

                    pending = await prompt.holds(turn)
                    pending.say("one")
                    pending.say("two")
                assert bodies == [b"one two"]
                assert prompt.pending[turn].told == ["wait", "response"]

    async def test_a_held_answer_may_be_ready_at_once(self) -> None:
        async with self.prompting() as (running, prompt):
            for _ in range(3):
                assert (await running.request("/prompt/ready")).body == b"at once"
            assert [pending.told for pending in prompt.pending] == [["wait", "response"]] * 3

    async def test_after_a_held_answer_the_connection_is_used_again(self) -> None:
        async with self.prompting() as (running, prompt):
            client = await http_wire(running)
            for number in range(3):
                await client.send("/prompt/held")
                (await prompt.holds(number)).say(str(number))
                assert await (await client.response()).read() == str(number).encode()
            await client.send("/prompt", method="POST", body=b"y")
            assert await (await client.response()).read() == b"y"
            await client.drop()

    @pytest.mark.parametrize("path", ["held", "later"])
    async def test_a_held_answer_is_told_when_its_client_goes(self, path: str) -> None:
        async with self.prompting() as (running, prompt), anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            @group.start_soon
            async def ask() -> None:
                with scope:
                    await running.stream(f"/prompt/{path}")

            pending = await prompt.holds(0)
            scope.cancel()
            await eventually(lambda: pending.told == ["wait", "gone"])
            pending.say("too late")
            assert (await running.request("/prompt/ready")).body == b"at once"
            assert pending.told == ["wait", "gone"]

    async def test_the_end_of_the_server_ends_what_is_held(self) -> None:
        async with self.prompting() as (running, prompt), anyio.create_task_group() as group:

            @group.start_soon
            async def ask() -> None:
                with pytest.raises(Exception):  # noqa: B017, PT011 - however it is cut off
                    await (await running.stream("/prompt/held")).read()

            pending = await prompt.holds(0)
            running.cancel()
            await running.stopped.wait()
            await eventually(lambda: pending.told == ["wait", "gone"])
            group.cancel_scope.cancel()
