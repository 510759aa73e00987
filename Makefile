# Greenroom: `make help` lists what can be done. Nothing here needs more than python3 (3.11+), git, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CALLS ?= 20000
SEED ?= 1
.DEFAULT_GOAL := help
.PHONY: help install demo demo-stop test test-fast fuzz lint bench lock dist clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: $(STAMP) ## make .venv with Greenroom and its tools, from the lock

$(STAMP): pyproject.toml requirements.lock scripts/install.py
	@$(PYTHON) scripts/install.py $(VENV)
	@touch $(STAMP)

demo: $(STAMP) ## start Greenroom in .demo/, push the payslip app, migrate it by hand, fetch a payslip
	@$(BIN)/python scripts/demo.py

demo-stop: ## stop what `make demo` left running
	@test ! -d .demo || $(BIN)/greenroom down --home .demo

test: $(STAMP) ## the whole test suite, browser tests included
	@$(BIN)/python scripts/run_tests.py

test-fast: $(STAMP) ## rules, rooms on PostgreSQL, API, CLI and layout: no real neighbours, about a minute
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -q -n 3 --dist worksteal --durations=10 -m "not (neighbours or thorough or story or browser)"

fuzz: $(STAMP) ## 20,000 random calls of the API (CALLS=n, SEED=n): no 500, each answer as /schema says
	@GREENROOM_FUZZ_CALLS=$(CALLS) GREENROOM_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -s -p no:logging tests/api/test_fuzz.py

lint: $(STAMP) ## ruff, import-linter and mypy
	@$(BIN)/ruff check src tests benchmarks scripts
	@$(BIN)/ruff format --check src tests benchmarks scripts
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m mypy

bench: $(STAMP) ## push to live against the same work by hand, and the memory of each process
	@$(BIN)/python benchmarks/push_to_live.py

lock: $(STAMP) ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock

dist: $(STAMP) ## build a wheel in dist/, to install Greenroom on another machine
	@$(BIN)/uv build -q --wheel -o dist
	@ls dist/*.whl

clean: demo-stop ## stop the demo and remove .venv, .demo, .tools, build and dist
	@rm -rf $(VENV) .demo .tools build dist
