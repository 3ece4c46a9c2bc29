"""What every plugin has to do."""

from unisock.testing.plugins import PluginSuite
from unisock_multiplex import Multiplex


class TestConformance(PluginSuite):
    plugin = Multiplex

    def kept(self, plugin):
        return len(plugin)
