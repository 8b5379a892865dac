# make run     the whole chain on MovieLens 100K
# make test    the default test suite
# make help    all targets

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# What takes too much room, or is needed too seldom, for .venv, with the bounds of its extra.
bound = $(shell sed -n 's/^$(1) = \["\(.*\)"\]/\1/p' pyproject.toml)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow lint types build documents pictures check lock clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## Make .venv with the exact versions of requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "mfcore needs Python 3.11, 3.12 or 3.13; none was found. Name one: make setup PYTHON=…"; exit 2; }
	@echo "Making .venv with $$($(PYTHON) --version): about 200 packages in the versions of requirements.lock, a few minutes."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --no-deps --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-compile --editable .
	@echo "Compiling them, so that the first command starts as fast as the next."
	@$(BIN)/python -m compileall -q -j 0 .venv/lib mfcore flows > /dev/null || true
	@touch $@
	@echo "Done: make run, or $(BIN)/mfcore --help."

run: setup  ## Download, check, split, tune, evaluate, register, export
	$(BIN)/mfcore run

test: setup  ## The default test suite
	$(BIN)/python -m pytest

test-slow: setup  ## What takes longer: accuracy against published figures, large data, Spark
	$(BIN)/uv run --quiet --no-project --python $(BIN)/python --with "$(call bound,spark)" \
		--with "$(call bound,index)" --with "$(call bound,dask)" --with "$(call bound,ray)" python -m pytest -m slow --timeout 3600

lint: setup  ## Style, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: setup  ## mypy, strict
	$(BIN)/mypy

build: setup  ## Wheel and sdist in dist/, the wheel installed and used in bare environments
	.ci/build

documents: setup  ## Write anew what documents take from the code
	$(BIN)/python -m tests.documents

pictures: setup  ## Take the documents' pictures anew, in a headless Chromium: some minutes
	$(BIN)/python -m tests.pictures

check: lint types test  ## All that has to pass before a change lands

lock: setup  ## Resolve requirements.lock anew from pyproject.toml's bounds, for every supported Python
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-header -q -o requirements.lock

clean:  ## Remove the environment and caches, no data
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
