# The two commands are `make run` and `make test`; `make help` lists the rest.
# They need Python >= 3.11 with venv, and nothing else: .venv is made here, from hash-locked requirements.

PYTHON ?= python3
PORT ?= 8080
UV ?= uv

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

# A copied or moved checkout brings a .venv that still points at the old place: it is made again.
MOVED = $(shell test -e .venv && test "$$(cat .venv/python-ready 2>/dev/null)" != "$(CURDIR)" && echo FORCE)

# Images set this to stay small; here every process that is started would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test check screenshots bench lock clean test-tools assets schemas browser FORCE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/ready assets ## Make .venv, install the service into it and fetch the pages' libraries, where that is not done yet
	@:

run: setup ## Run the demo: database, service, phones and a subscriber (PORT=8080); Ctrl-C stops all of it
	@exec $(BIN)/fieldsvc demo --port $(PORT)

test: test-tools assets schemas browser ## Run every test (FIELDSVC_TEST_DATA names the folder of real data; ARGS goes to pytest)
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: test-tools ## Check format, lint, types, imports and SQL
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m sql.check

screenshots: test-tools assets browser ## Draw every screen of the demo into screenshots/ (ARGS chooses by parts of names)
	@$(BIN)/python -m tests.pages.screenshots $(ARGS)

bench: setup .venv/ready-for-bench ## Run the benchmarks; each line of the output is one JSON object
	@$(BIN)/fieldsvc bench all --json

lock: ## Write requirements/*.txt anew with uv (UPGRADE=1 takes newer releases, UV names the program)
	$(LOCK) pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(LOCK) pyproject.toml requirements/build.in --extra test --extra bench --extra fast --constraint requirements/run.txt \
		--output-file requirements/test.txt
	$(LOCK) pyproject.toml requirements/build.in --extra bench --extra fast --constraint requirements/test.txt \
		--output-file requirements/bench.txt
	$(LOCK) requirements/assets.in --output-file requirements/assets.txt
	$(LOCK) requirements/streams.in --constraint requirements/test.txt --output-file requirements/streams.txt

clean: ## Remove .venv and every cache; data under var stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

test-tools: .venv/ready-for-tests
	@:

assets: .venv/ready
	@$(BIN)/python -m fieldsvc.web.pages.assets

schemas: test-tools
	@$(BIN)/python -m tests.schemas

# The page tests drive a real browser. On Debian and Ubuntu it is installed where that is allowed; elsewhere they are skipped.
browser:
	@for name in chromium-headless-shell chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then echo "Page tests will be skipped: no Chromium here, and no apt-get to install it"; exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root=sudo; \
	else echo "Page tests will be skipped: no Chromium here, and no right to install it (apt install chromium-headless-shell fonts-dejavu-core)"; exit 0; fi; \
	echo "Installing Chromium for the page tests (once)"; \
	$$as_root apt-get update -q >/dev/null && \
	for name in chromium-headless-shell chromium; do \
		DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -q --no-install-recommends $$name fonts-dejavu-core >/dev/null && exit 0; \
	done; \
	echo "Page tests will be skipped: Chromium could not be installed"

.venv/python-ready: $(MOVED)
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fieldsvc needs Python 3.11 or newer and $(PYTHON) is older: name a newer one, make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks the venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making .venv (once)"
	@"$(PYTHON)" -m venv --clear .venv
	@echo "$(CURDIR)" > $@

.venv/ready: .venv/python-ready requirements/run.txt pyproject.toml
	@echo "Installing what the service needs into .venv"
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/ready-for-tests: .venv/ready requirements/test.txt
	@echo "Installing what the tests need into .venv"
	@$(PIP) install --no-compile --require-hashes --only-binary :all: --requirement requirements/test.txt
	@touch $@

.venv/ready-for-bench: .venv/ready requirements/bench.txt
	@echo "Installing what the benchmarks compare with into .venv"
	@$(PIP) install --require-hashes --only-binary :all: --requirement requirements/bench.txt
	@touch $@
