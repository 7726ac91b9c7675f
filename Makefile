# Millrace. Every target does its own set-up; `make` alone lists them.
#
# PYTHON=python3.12     another Python, 3.11 to 3.13
# ORDERS=1000           how much `make demo` simulates
# TESTS="-k outbox -x"  further arguments for pytest

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup up down demo test tests test-unit test-long style lint format types clean lock

help:  ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## fetch what the lock files pin; nothing to do when they have not changed
	@$(PYTHON) stack/bootstrap.py

up: setup  ## start the stack (millrace status, env, logs show it)
	@$(BIN)/millrace up

down:  ## stop the stack; its data stays
	@test ! -x $(BIN)/millrace || $(BIN)/millrace down

demo: setup  ## the main job, end to end: a shop whose copies are proven equal; leaves the stack up
	@$(BIN)/millrace demo $(if $(ORDERS),--orders $(ORDERS))

test: setup  ## style, types and all tests, on real servers that they start themselves
	@$(MAKE) --no-print-directory -j2 style tests

style: lint types

tests:
	@$(BIN)/pytest -m "not long" $(TESTS)

test-unit: setup  ## the tests that need no server
	@$(BIN)/pytest tests/unit $(TESTS)

test-long: setup  ## the tests that take many minutes
	@$(BIN)/pytest -m long $(TESTS)

lint: setup  ## style and import rules
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/lint-imports

format: setup  ## bring the code into house style
	@$(BIN)/ruff check --fix && $(BIN)/ruff format

types: setup  ## static types, strict, tests included
	@$(BIN)/mypy

lock: setup  ## choose versions anew and pin them
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header --extra platform --group dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --python-version 3.11 dashboards/requirements.in -o dashboards/requirements.lock
	@npm install --package-lock-only --no-audit --no-fund
	@$(BIN)/python -c 'import json, pathlib; file = pathlib.Path("package-lock.json"); lock = json.loads(file.read_text()); \
		[package.pop("funding", None) for package in lock["packages"].values()]; \
		file.write_text(json.dumps(lock, indent=2) + "\n")'  # its addresses

clean: down  ## stop the stack and remove all that set-up, stacks and tests have made, data included
	rm -rf .venv .parts node_modules .millrace .millrace-test *.egg-info .*_cache .hypothesis dbt/target dbt/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
