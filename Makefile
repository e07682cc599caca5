# The verbs of the house. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SILENT:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
STAMP := $(VENV)/.installed

help: ## List the verbs
	awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml libs/opscore/pyproject.toml $(wildcard services/*/pyproject.toml) apps/lakehouse/pyproject.toml tools/setup.sh
	tools/setup.sh "$(PYTHON)" "$(VENV)" >&2
	touch $(STAMP)

setup: $(STAMP) ## Install everything into .venv (hash-locked)

demo: $(STAMP) ## Start the whole stack on embedded defaults and run the main job (ARGS=--exit stops afterwards)
	$(BIN)/lakehouse demo $(ARGS)

up: $(STAMP) ## Start the stack (ARGS=--detach returns when healthy)
	$(BIN)/lakehouse up $(ARGS)

test: $(STAMP) ## Install what is needed and pass the tests
	tools/test.sh $(ARGS)

check: $(STAMP) ## Lint, types, imports, SQL, specs, docs, generated files
	tools/check.sh

test-browser: $(STAMP) ## The control room in a real headless browser
	tools/test.sh tests/browser $(ARGS)

test-engines: $(STAMP) ## The engines' conformance suite
	tools/test.sh tests/integration/engines $(ARGS)

chaos: $(STAMP) ## Kill, stop and cut until something is lost; nothing may be
	LAKEHOUSE_CHAOS_SHARE=$${LAKEHOUSE_CHAOS_SHARE:-1} LAKEHOUSE_CHAOS_KILLS=$${LAKEHOUSE_CHAOS_KILLS:-60} tools/test.sh tests/chaos -s $(ARGS)

bench: $(STAMP) ## Measure against the named peers in one run; writes bench/results/
	$(BIN)/python -m bench $(ARGS)

bench-full: $(STAMP) ## The long benchmarks
	$(BIN)/python -m bench --full $(ARGS)

ui: ## Build the control room's assets
	echo "The first control room page is served as it stands; nothing to build." >&2

lock: $(STAMP) ## Resolve requirements.lock anew (hashes, no index address)
	tools/lock.sh

generate: $(STAMP) ## Write the generated files (make check proves them fresh)
	$(BIN)/python tools/generate.py

clean: ## Remove the environment, caches and the embedded stack's state
	rm -rf $(VENV) .lakehouse .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help setup demo up test check test-browser test-engines chaos bench bench-full ui lock generate clean
