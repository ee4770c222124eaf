# Every target sets up what it needs: a virtual environment in .venv with pinned requirements, and nothing else on the machine.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
STAMP := $(VENV)/.ready
PACKAGES := contracts runtime vision stream-pod gateway operator model_repository cli
IMPORTS := vigil_contracts vigil_runtime vigil_vision vigil_stream vigil_gateway vigil_operator vigil_models vigil_cli
TEST ?= tests
# Whole runs wait more than they compute; a file stays with one worker, and those that take longest come first.
WORKERS ?= 3
PYTEST_WHOLE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo images test test-cluster cluster cluster-down cluster-packages lint format bench generate schema lock clean

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

demo: $(STAMP) ## watch people being recognised live (DURATION=90 ends by itself and evaluates the result)
	@$(BIN)/vigil demo $(if $(DURATION),--duration $(DURATION))

# Registry and path of the images; the chart's image.repository takes the same name.
REPOSITORY ?= vigil
TAG ?= $(shell sed -n 's/^appVersion: //p' charts/vigil/Chart.yaml)
images: ## build the container images (REPOSITORY=registry.example.com/vigil PLATFORMS=linux/amd64,linux/arm64 PUSH=1)
	@$(PYTHON) images/build.py --repository $(REPOSITORY) --tag $(TAG) $(if $(PLATFORMS),--platforms $(PLATFORMS)) \
		$(if $(SOURCE),--source $(SOURCE)) $(if $(BASE_DIGEST),--base-digest $(BASE_DIGEST)) $(if $(PUSH),--push) $(IMAGES)

test: $(STAMP) ## run every test that this machine can run (TEST=tests/unit for a part)
	@$(BIN)/python -m pytest $(TEST) $(if $(filter tests,$(TEST)),$(PYTEST_WHOLE))

test-cluster: $(STAMP) ## run the tests on a real Kubernetes, and those of the chart
	@$(BIN)/python -m pytest tests/cluster tests/chart

cluster: $(STAMP) ## run a real Kubernetes with Vigil installed, and print its KUBECONFIG (root; see cluster-packages)
	@$(BIN)/python -m tests.support.kubernetes up

cluster-down: $(STAMP) ## remove that Kubernetes
	@$(BIN)/python -m tests.support.kubernetes down

cluster-packages: $(STAMP) ## install the Debian packages that a Kubernetes on this machine needs (root)
	@packages="$$($(BIN)/python -m tests.support.kubernetes packages)" || exit 1; test -z "$$packages" || { \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages; }

lint: $(STAMP) ## check style, types, layers and generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(IMPORTS:%=-p %)
	@$(BIN)/mypy tests bench
	@PYTHONPATH= $(BIN)/lint-imports
	@$(MAKE) --no-print-directory generate OUT=.cache/generated
	@diff -ru contracts/schemas .cache/generated/schemas && diff -u gateway/schema.graphql .cache/generated/schema.graphql \
		&& diff -ru crds .cache/generated/crds && diff -u docs/reference.md .cache/generated/docs/reference.md \
		|| { echo "Generated files are out of date; run: make generate"; exit 1; }

format: $(STAMP) ## format the code
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format --quiet .

generate: $(STAMP) ## write the generated files (event schemas, GraphQL SDL, CRDs, reference) anew
	@mkdir -p $(if $(OUT),$(OUT)/docs,.)
	@$(BIN)/python -m vigil_contracts.schemas $(if $(OUT),$(OUT)/schemas,contracts/schemas)
	@$(BIN)/python -m vigil_gateway.handlers.graphql.sdl > $(if $(OUT),$(OUT)/schema.graphql,gateway/schema.graphql)
	@$(BIN)/python -m vigil_contracts.crds $(if $(OUT),$(OUT)/crds,crds)
	@$(if $(OUT),,cp crds/*.yaml charts/vigil/files/crds/)
	@$(BIN)/python -m vigil_contracts.reference > $(if $(OUT),$(OUT)/docs/reference.md,docs/reference.md)

schema: $(STAMP) ## write gateway/schema.sql anew, from a migrated Postgres
	@$(BIN)/python -m tests.support.schema

bench: $(STAMP) ## measure, print and keep the figures (bench/results/latest.json, docs/performance.md)
	@$(BIN)/python -m bench

lock: $(STAMP) ## pin every requirement anew from the pyproject files
	@$(BIN)/python requirements/lock.py

clean: ## remove the virtual environment and every cache in this folder
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
