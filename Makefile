PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow test-all fuzz lint bench chaos lock screenshots reference clean

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dibs needs Python 3.11 or newer; say which: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

install: $(STAMP)  ## build .venv with the pinned packages

run: $(STAMP)  ## start dibs on its embedded database and queue; no server is needed
	$(BIN)/dibs serve

test: $(STAMP)  ## run the tests but the slow ones; what needs PostgreSQL or Redis is skipped where they are missing
	$(BIN)/python -m pytest -n auto

test-slow: $(STAMP)  ## run the slow ones: processes that die, browsers, fuzzers, the pages' own examples
	$(BIN)/python -m pytest -n auto -m "slow and not chaos"

test-all: test test-slow  ## run both

fuzz: $(STAMP)  ## the long run of schemathesis and hypothesis: over 5,000 requests, 500 mixes of claims a test
	DIBS_FUZZ=300 $(BIN)/python -m pytest -s -m slow tests/fuzz
	DIBS_FUZZ=500 $(BIN)/python -m pytest -n auto --timeout 1800 tests/conformance/test_claim_model.py

lint: $(STAMP)  ## format check, ruff, mypy, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BENCH_STAMP): requirements-bench.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	@echo '*' > $(BENCH_VENV)/.gitignore
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

bench: $(STAMP) $(BENCH_STAMP)  ## measure dibs and its rivals on servers of their own, and write docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks --write

chaos: $(STAMP)  ## kill everything under load for half an hour, lose nothing, and write docs/reliability.md
	$(BIN)/python -m tests.chaos --write
	$(BIN)/python -m tests.chaos.overload --write
	DIBS_TEST_OUTAGE_S=60 DIBS_TEST_DEPLOYS=20 $(BIN)/python -m pytest -rP -m slow tests/faults/test_outages.py tests/faults/test_rolling_deploys.py

lock: $(STAMP)  ## pin the newest packages that fit, by hash
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade --group dev -o requirements-dev.txt -c requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade --group bench -o requirements-bench.txt

screenshots: $(STAMP)  ## draw the pictures of the operator's page in docs/images anew; needs Chromium
	$(BIN)/python -m tests.page.screenshots

reference: $(STAMP)  ## write docs/reference anew from settings, OpenAPI and problems
	$(BIN)/python -m tests.reference --write

clean:  ## remove the venv and the caches
	rm -rf $(VENV) $(BENCH_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
