# Everything here works on a machine that has Python ≥ 3.11 and make: `make demo`, `make test`.

PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8
ARGS ?=
TESTS ?=
# The wheels we use are binary; a slow line should not fail a first set-up.
export UV_HTTP_TIMEOUT ?= 180
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow setup lint format revision clean

demo: setup ## bill a month of usage through the official Stripe SDK; ARGS=--exit ends after the story
	@$(BIN)/meterline demo $(ARGS)

test: setup .venv/.node ## everything except the slow tests, file by file on every core; TESTS=tests/core narrows it
	$(BIN)/pytest $(or $(TESTS),-n auto --dist loadfile) $(ARGS)

test-slow: setup .venv/.node ## only the slow tests: real kills, long property runs, the whole trace
	$(BIN)/pytest -m slow $(TESTS) $(ARGS)

setup: .venv/.synced ## install everything into .venv, run nothing

lint: setup ## what a change must pass before it is committed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## order the imports, lay out the code
	$(BIN)/ruff check --fix-only --select I .
	$(BIN)/ruff format .

revision: setup ## draft the next schema revision; MESSAGE="Add x to y", ARGS=--first writes 0001 anew
	$(BIN)/python tools/revision.py $(ARGS) "$(or $(MESSAGE),The first schema)"

clean: ## remove what setup and the tests made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis
	rm -rf tests/wire/node/node_modules
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Meterline needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

# --inexact: uv itself and pip stay. The environment is this directory's, whatever is activated outside.
.venv/.synced: pyproject.toml uv.lock .venv/bin/uv
	env -u VIRTUAL_ENV $(BIN)/uv sync --frozen --inexact --quiet --python $(BIN)/python
	@touch $@

# The official SDK for Node drives the same server in the tests, wherever there is a Node to run it.
.venv/.node: tests/wire/node/package-lock.json | .venv/.synced
	@if command -v npm >/dev/null; then cd tests/wire/node && npm ci --silent --no-audit --no-fund --ignore-scripts; fi
	@touch $@
