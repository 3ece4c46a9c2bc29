"""A line that is typed while messages come in above it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager

import anyio
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from .looks import harmless

__all__ = ["Prompt"]

LEAVE_SECONDS = 2.0
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse ansibrightblack", "prompt": "ansicyan"})


class Prompt:
    """Reads lines at the foot of the terminal, with the history of this session.

    The history is kept nowhere else: what one sends may be secret.

    :param commands: completed with the tab key
    :param status: what stands below the line
    :param colour: `False` for none
    """

    def __init__(self, commands: Sequence[str], status: Callable[[], str], *, colour: bool) -> None:
        self._session: PromptSession[str] = PromptSession(
            completer=WordCompleter([*commands], sentence=True),
            complete_while_typing=False,
            key_bindings=_keys(),
            bottom_toolbar=lambda: [("class:bottom-toolbar", harmless(status()))],
            style=_STYLE,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
        )
        self._left = False
        self._idle = anyio.Event()

    @contextmanager
    def above(self) -> Generator[None]:
        """What is printed meanwhile goes above the line."""
        with patch_stdout(raw=True):  # colours are meant; what peers send is harmless by then
            yield

    def refresh(self) -> None:
        """The status has changed."""
        self._session.app.invalidate()

    async def read_lines(self, take: Callable[[str], Awaitable[None]]) -> bool:
        """Hand over each line until Ctrl-D, or Ctrl-C on an empty line.

        :returns: whether it was Ctrl-D
        """
        try:
            while not self._left:
                try:
                    line = await self._session.prompt_async([("class:prompt", "> ")])
                except EOFError:
                    return True
                except KeyboardInterrupt:
                    return False
                if line:
                    await take(line)
            return True
        finally:
            self._idle.set()

    async def leave(self) -> None:
        """End `read_lines` as if by Ctrl-D. To cancel it instead would leave on the screen what the
        terminal still answers to a question of where its cursor is.
        """
        self._left = True
        app = self._session.app
        if app.is_running and not app.is_done:
            app.exit(exception=EOFError)
        with anyio.move_on_after(LEAVE_SECONDS):
            await self._idle.wait()


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-c")
    def interrupt(event: KeyPressEvent) -> None:
        """Clear the line, as shells do; leave if there is nothing on it."""
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys
