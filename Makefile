# Every target sets up what it needs: a virtual environment in .venv, Debian packages
# through apt when root (otherwise the line to run is printed), kernels in the cache.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2

.PHONY: all quick fidelity check format kernels kernels-bench kernels-full test test-full demo bench clean packages
all: check test

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	touch $@

packages:
	tools/packages

kernels: $(STAMP) packages
	tools/kernels

kernels-full: $(STAMP)
	tools/packages full
	tools/kernels full
	tools/own-kernel

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The tests that need no fetched kernel: for every small change, in under a minute.
quick: $(STAMP)
	tools/packages quick
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not full and not kernel' $(ARGS)

test: kernels
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not full' $(ARGS)

test-full: kernels-full
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

demo: $(STAMP)
	tools/packages demo
	tools/demo

kernels-bench: $(STAMP) packages
	tools/kernels bench

bench: kernels-bench
	$(BIN)/python -m bench $(ARGS)

# docs/fidelity.md: every module of a kernel loaded in both machines; a quarter of an hour.
fidelity: kernels
	$(BIN)/python tools/fidelity

clean:
	rm -rf $(VENV) .build .pytest_cache .mypy_cache .ruff_cache .hypothesis
