"""For tests: of applications (`unisock.testing.fixtures`), of adapters
(`unisock.testing.adapters`), of protocols (`unisock.testing.protocols`) and of plugins
(`unisock.testing.plugins`).

Install with ``pip install "unisock[testing]"``. Importing this package imports none of them.
"""
