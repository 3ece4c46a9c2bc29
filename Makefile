# Every target sets itself up: see .ci/setup.
ADAPTER ?=
PORT ?=
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test matrix check bench autobahn format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: export NODE_PATH := $(CURDIR)/tests/interop/node_modules
demo: ## serve the chat to every client (ADAPTER=picows PORT=8001 to change how)
	@.ci/setup run
	@unisock demo $(if $(ADAPTER),--adapter $(ADAPTER)) $(if $(PORT),--port $(PORT)) $(ARGS)

# Many tests wait for something: four at a time keep two cores busy.
test: ## run all checks and all tests (ARGS='-k rooms' is passed to pytest)
	@.ci/setup test
	@.ci/check
	@pytest -n 4 --dist worksteal $(ARGS)

matrix: ## run all tests, and write what they prove into the README
	@.ci/setup test
	@pytest -n 4 --dist worksteal --matrix

check: ## lint, formatting, types, documentation, lock file
	@.ci/setup check
	@.ci/check

bench: ## measure what unisock costs, against its drivers and peers (ARGS=--quick, ARGS=--help)
	@.ci/setup bench
	@python -m tests.benchmarks $(ARGS)

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
