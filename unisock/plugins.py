"""The plugins of one server, and pluggy beneath them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import pluggy

from . import hookspecs
from .errors import ConfigError
from .hookspecs import Register
from .messages import Packet
from .pipeline import Transform
from .registry import look_up
from .spark import Spark
from .stage import ChannelFinder

__all__ = ["Plugins"]

PluginT = TypeVar("PluginT")

log = logging.getLogger("unisock")


class Plugins:
    """The plugins of one server. Hooks are called in the order in which plugins were given.

    :param objects: plugins made by the application
    :param names: plugins to be made from what is installed; one of a class that `objects` has
        already is that one
    :param options: ``[options.NAME]``: the keyword arguments for those that are made here
    :param made: those that were made before, which are taken again if their options are the same
    :raises NotInstalled: nothing with such a name is installed
    :raises ConfigError: a plugin does not take its options, or implements an unknown hook
    """

    def __init__(
        self,
        objects: Iterable[object],
        names: Iterable[str] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        made: dict[str, tuple[Mapping[str, Any], object]] | None = None,
    ) -> None:
        self._made = {} if made is None else made
        self._plugins: list[object] = list(objects)
        for name in names:
            self._make(name, dict((options or {}).get(name, {})))
        self._manager = pluggy.PluginManager("unisock")
        self._manager.add_hookspecs(hookspecs)
        # pluggy calls the last registered first.
        for plugin in reversed(self._plugins):
            self._register(plugin)
        self.hook = self._manager.hook

    def find(self, kind: type[PluginT]) -> PluginT:
        """The plugin of this class.

        :raises ConfigError: there is none
        """
        for plugin in self._plugins:
            if isinstance(plugin, kind):
                return plugin
        raise ConfigError(
            f"this server has no {kind.__name__} plugin: pass one to Server(plugins=[…]), or name "
            "it in `plugins` of the configuration",
            key="plugins",
        )

    def implements(self, hook: str) -> bool:
        """Whether any plugin implements this hook."""
        return bool(getattr(self.hook, hook).get_hookimpls())

    def tell(self, hook: str, **facts: object) -> None:
        """Call a hook of a spark's life. An exception of one plugin goes to the log, and the others
        still hear: pluggy itself would stop there, and leave ghosts in their books.
        """
        # pluggy keeps its implementations in the reverse of their order.
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            try:
                implementation.function(*[facts[name] for name in implementation.argnames])
            except Exception:
                log.exception("exception in a plugin's %s: %r", hook, implementation.plugin)

    def _make(self, name: str, options: dict[str, Any]) -> None:
        kind: type[object] = look_up("plugin", name)
        if any(isinstance(plugin, kind) for plugin in self._plugins):
            if options:
                raise ConfigError(
                    f"options.{name}: this plugin is made in code; give it its options there",
                    key=f"options.{name}",
                )
            return
        try:
            if name not in self._made or self._made[name][0] != options:
                self._made[name] = (options, kind(**options))
            self._plugins.append(self._made[name][1])
        except (TypeError, ValueError) as error:
            raise ConfigError(f"options.{name}: {error}", key=f"options.{name}") from error

    def _register(self, plugin: object) -> None:
        if isinstance(plugin, type):
            name = plugin.__name__
            raise ConfigError(f"plugin {name}: pass {name}(), not the class", key="plugins")
        name = type(plugin).__name__
        try:
            self._manager.register(plugin)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            told = " ".join(str(error).split())
            raise ConfigError(f"plugin {name}: {told}", key="plugins") from error
        for method in dir(plugin):
            if method.startswith("unisock_") and not _is_marked(plugin, method):
                raise ConfigError(
                    f"plugin {name}: {method} is no hook until it has the decorator "
                    "@unisock.hookimpl",
                    key="plugins",
                )


def _is_marked(plugin: object, method: str) -> bool:
    return hasattr(getattr(plugin, method), "unisock_impl")


class Registered(Register):
    """What plugins and the application registered for each message."""

    def __init__(self) -> None:
        self.incoming_transforms: list[Transform] = []
        self.outgoing_transforms: list[Transform] = []
        self.packets: dict[type[Packet], Callable[[Spark, Any], Any]] = {}
        self.at_once: set[type[Packet]] = set()
        self.wanted: dict[type[Packet], Callable[[Spark, Any], bool]] = {}
        self.finders: list[ChannelFinder] = []

    def incoming(self, transform: Transform) -> None:
        self.incoming_transforms.append(transform)

    def outgoing(self, transform: Transform) -> None:
        self.outgoing_transforms.append(transform)

    def packet(
        self,
        kind: type[Packet],
        handler: Callable[[Spark, Any], Any],
        *,
        at_once: bool = False,
        wanted: Callable[[Spark, Any], bool] = lambda spark, packet: True,
    ) -> None:
        if kind in self.packets:
            raise ConfigError(f"two plugins want the {kind.__name__} packets", key="plugins")
        self.packets[kind] = handler
        self.wanted[kind] = wanted
        if at_once:
            self.at_once.add(kind)

    def channels(self, find: ChannelFinder) -> None:
        self.finders.append(find)
