"""What every plugin has to do."""

from unisock.testing.plugins import PluginSuite
from unisock_emitter import Emitter


class TestConformance(PluginSuite):
    plugin = Emitter

    async def use(self, plugin, spark):
        plugin.pending.ask([spark])

    def kept(self, plugin):
        return len(plugin.pending)
