# Every target sets up what it needs: a virtual environment in .venv, Debian packages
# through apt when root (otherwise the line to run is printed), kernels in the cache.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2
PAGE   := src/lkm/web/static/index.html
PAGE_SOURCES := $(shell find src/lkm/web/ui -name node_modules -prune -o -type f -print)

.PHONY: all quick fidelity page check format kernels kernels-bench kernels-full test test-full demo bench clean packages
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

# The page that `lkm web` serves, built with a Node from PyPI.
page: $(PAGE)
$(PAGE): $(STAMP) $(PAGE_SOURCES)
	tools/page check
	touch $@

test: kernels page
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not full' $(ARGS)

test-full: kernels-full page
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

demo: $(STAMP) page
	tools/packages demo
	tools/demo

kernels-bench: $(STAMP) packages
	tools/kernels bench

bench: kernels-bench page
	$(BIN)/python -m bench $(ARGS)

# docs/fidelity.md: every module of a kernel loaded in both machines; a quarter of an hour.
fidelity: kernels
	$(BIN)/python tools/fidelity

clean:
	rm -rf $(VENV) src/lkm/web/static src/lkm/web/ui/node_modules .build .pytest_cache .mypy_cache .ruff_cache .hypothesis
