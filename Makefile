# Every target sets up what it needs: a virtual environment in .venv with pinned requirements, and nothing else on the machine.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.ready
PACKAGES := contracts vision stream-pod gateway model_repository cli
TEST ?= tests

.PHONY: help setup demo test lint format bench generate lock clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## make the virtual environment

$(STAMP): requirements/runtime.txt requirements/dev.txt requirements/triton.txt $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Vigil needs Python 3.11 or newer; '$(PYTHON)' is older. Install it, or name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once; pinned requirements, a few hundred MB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements/runtime.txt -r requirements/dev.txt
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps -r requirements/triton.txt
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet $(PACKAGES:%=-e %)
	@touch $@

lock: $(STAMP) ## pin every requirement anew from the pyproject files
	@$(BIN)/python requirements/lock.py
