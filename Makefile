# The whole life of the project in a few words: `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PORT ?= 8000
ARGS ?=
# They wait more than they compute. What shares servers stays together, and what is long begins first: tests/conftest.py.
PARALLEL ?= --numprocesses 4 --dist loadfile --no-loadscope-reorder
BIN := .venv/bin
INSTALLED := .venv/requirements.installed
PEERS := .benchmarks/peers

.PHONY: help run test check bench bench-peers soak services databases

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(INSTALLED) ## install, migrate, and serve http://localhost:8000 (PORT=9000 for another port)
	@echo "Bringing the database up to date"
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py welcome
	@exec $(BIN)/python manage.py runserver $(PORT)

test: $(INSTALLED) services ## every test but the soaks (ARGS="-k rooms" for some of them)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check: $(INSTALLED) ## style, types, migrations and Django's own checks
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check

bench: $(INSTALLED) databases ## measure against plain Channels and write docs/benchmarks.md (ARGS=--quick for a glance)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(INSTALLED) databases $(PEERS)/installed ## the same, against uvicorn, FastAPI, Socket.IO, Node's ws and Zef too
	@$(BIN)/python -m benchmarks --peers $(ARGS)

soak: $(INSTALLED) services ## the long tests
	@$(BIN)/python -m pytest -m soak -o faulthandler_timeout=0 $(ARGS)

# pip says several lines a package; a name each is progress enough.
$(INSTALLED): requirements.txt | .venv
	@echo "Installing requirements.txt"
	@$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt \
		| { while read -r word name _; do \
			if [ "$$word" = Collecting ]; then printf ' %s' "$${name%%[!A-Za-z0-9._-]*}"; fi; done; echo; }
	@touch $@

.venv:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Python 3.11 or newer is needed. On Debian: apt-get update && apt-get install -y python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"On Debian 12 or newer: apt-get update && apt-get install -y python3 python3-venv;" \
			"with another Python: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make a virtual environment. On Debian: apt-get update && apt-get install -y python3-venv" >&2; exit 1; }
	@echo "Making the virtual environment .venv"
	@$(PYTHON) -m venv .venv

# Tests and benchmarks run real servers and a real browser: the system's, installed where that is allowed.
services:
	@missing=""; \
	command -v chromium-headless-shell chromium chromium-browser google-chrome >/dev/null \
		|| missing="$$missing chromium chromium-headless-shell"; \
	$(call databases); \
	$(call install,the tests)

databases:
	@missing=""; \
	$(call databases); \
	$(call install,the benchmarks)

define databases
command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing="$$missing postgresql"
endef

# $$missing, for what the argument says.
define install
if [ -z "$$missing" ]; then exit 0; fi; \
	install="apt-get update && apt-get install -y --no-install-recommends$$missing"; \
	command -v apt-get >/dev/null || { echo "$(1) need:$$missing. Install them with your system's packages." >&2; exit 1; }; \
	if [ "$$(id -u)" = 0 ]; then as=""; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as="sudo"; \
	else echo "For $(1), install$$missing: sudo sh -c '$$install'" >&2; exit 1; fi; \
	echo "Installing for $(1):$$missing"; \
	$$as sh -c "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq install -y --no-install-recommends$$missing" >/dev/null
endef

# What the benchmarks compare with, apart from everything else.
$(PEERS)/installed: benchmarks/peers/requirements.txt benchmarks/peers/package.json
	@missing=""; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	$(call install,the peers)
	@echo "Installing the peers in $(PEERS)"
	@mkdir -p $(PEERS)
	@test -d $(PEERS)/venv || $(PYTHON) -m venv $(PEERS)/venv
	@$(PEERS)/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/peers/requirements.txt
	@cp benchmarks/peers/package.json $(PEERS)/
	@npm install --prefix $(PEERS) --silent --no-package-lock --no-audit --no-fund
	@touch $@
