"""``python -m unisock`` is ``unisock``."""

from .cli import main

main()
