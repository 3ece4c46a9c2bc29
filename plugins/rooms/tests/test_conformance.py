"""What every plugin has to do."""

from unisock.testing.plugins import PluginSuite
from unisock_rooms import Rooms


class TestConformance(PluginSuite):
    plugin = Rooms

    async def use(self, plugin, spark):
        plugin.join(spark, "lobby")
        plugin.join(spark, f"user:{spark.id}")
        plugin.join_pattern(spark, "news:*")

    def kept(self, plugin):
        return len(plugin) + len(plugin["news:today"])
