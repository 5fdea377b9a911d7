# `make` lists the targets. Each sets up all it needs by itself in .venv, from Python 3.11 or newer.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.installed
DEMO := demo

.PHONY: help demo test faults lint bench bench-heavy reference clean

help: ## List what one can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(SETUP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "tracklog needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(SETUP) ## Watch agents at work, one of them killed, and ask what happened
	$(BIN)/tracklog demo --directory $(DEMO)

test: $(SETUP) ## Run all tests, on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

faults: $(SETUP) ## Kill, cut, rotate and corrupt at length; TRACKLOG_FAULTS says how long (200)
	TRACKLOG_FAULTS=$${TRACKLOG_FAULTS:-200} $(BIN)/python -m pytest -q tests/faults

lint: $(SETUP) ## Check style (ruff), types (mypy) and the arrows between the parts (import-linter)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.with-peers: $(SETUP)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench: $(VENV)/.with-peers ## Measure against peers run beside it
	$(BIN)/python -m benchmarks

.venv-heavy/%/.installed:
	$(PYTHON) -m venv .venv-heavy/$*
	.venv-heavy/$*/bin/python -m pip install --quiet --disable-pip-version-check $(HEAVY_$*)
	@touch $@

HEAVY_phoenix := arize-phoenix opentelemetry-exporter-otlp-proto-http
HEAVY_mlflow := mlflow

bench-heavy: $(VENV)/.with-peers .venv-heavy/phoenix/.installed .venv-heavy/mlflow/.installed ## Measure against Phoenix and MLflow, and rsyslog if the system has it
	$(BIN)/python -m benchmarks peers

reference: $(SETUP) ## Write docs/reference.md, and what the pages show of a terminal, from the command line
	cd tests && ../$(BIN)/python -m reference && ../$(BIN)/python -m sessions

clean: ## Remove the virtual environment and the demo's files
	rm -rf $(VENV) .venv-heavy $(DEMO)
