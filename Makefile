# Every target sets itself up: see .ci/setup.
ADAPTER ?=
PORT ?=
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench autobahn format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## serve the chat (ADAPTER=tornado PORT=8001 to change how)
	@.ci/setup run
	@unisock demo $(if $(ADAPTER),--adapter $(ADAPTER)) $(if $(PORT),--port $(PORT)) $(ARGS)

test: ## run all checks and all tests (ARGS='-k rooms' is passed to pytest)
	@.ci/setup test
	@.ci/check
	@pytest -n 2 --dist loadgroup $(ARGS)

check: ## lint, formatting, types, documentation, lock file
	@.ci/setup check
	@.ci/check

bench: ## compare each adapter with its bare driver
	@.ci/setup check
	@python tests/benchmarks $(ARGS)

autobahn: ## run Autobahn's WebSocket test suite (ARGS='--adapter tornado --cases 6.*')
	@.ci/setup autobahn
	@python tests/autobahn $(ARGS)

format: ## format the code and repair what can be repaired
	@.ci/setup check
	@ruff check --quiet --fix --exit-zero
	@ruff format --quiet

clean: ## remove all that these commands made
	rm -rf .venv .tools .site .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache dist tests/interop/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
