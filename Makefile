# The one place to start from: `make` lists what can be done.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8080
DATA_DIR ?= var/demo
LOCK_DATE := 2026-11-17T00:00:00Z
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header --exclude-newer $(LOCK_DATE)

.PHONY: help demo run setup setup-dev test test-fast coverage check fix bench lock clean

help: ## list what can be done
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (PYTHON=...)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3 -m venv failed: on Debian/Ubuntu install python3-venv"; exit 1; }
	@echo "installing what running needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r requirements.txt
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt
	@echo "installing what testing needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

setup: .venv/run.stamp ## the virtual environment with what running needs
setup-dev: .venv/dev.stamp ## ... and what checking and testing need

demo: setup ## three sample facilities, one federated query; ONCE=1 stops after it; PORT=, DATA_DIR=
	@PORT='$(PORT)' DATA_DIR='$(DATA_DIR)' ONCE='$(ONCE)' $(BIN)/python -m deploy.demo.run

run: setup ## an empty gateway from the GATEWAY_* settings
	@$(BIN)/python -m gateway serve

test: setup-dev ## everything, real services included
	@deploy/dev/setup-tests.sh
	@$(BIN)/python -m pytest -q tests

coverage: setup-dev ## branches that no fast test takes
	@$(BIN)/python -m pytest -q -m "not integration and not slow" --cov --cov-report=term:skip-covered tests

test-fast: setup-dev ## what needs no service
	@$(BIN)/python -m pytest -q -m "not integration and not slow" tests

check: setup-dev ## lint, format, types, floors, locks; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python deploy/dev/check_locks.py "$(LOCK)"

fix: setup-dev ## format, and lint fixes that are safe
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup-dev ## the gateway beside the limit and the glue, in one run
	@$(BIN)/python -m bench.run

lock: setup-dev ## compile requirements*.txt from requirements*.in
	@cd . && for name in requirements requirements-train requirements-dev requirements-validator requirements-node; do test ! -f $$name.in || $(BIN)/$(LOCK) $$name.in -o $$name.txt; done

clean: ## remove what was made here
	@rm -rf .venv .venvs var .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/node/node_modules
