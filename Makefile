# Two commands matter: `make demo` and `make test`. Both install what they need into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt

.PHONY: demo test test-slow lint bench clean

demo: $(VENV)/.installed ## train the tiny_cpu recipe on this computer and watch it
	$(BIN)/ava train tiny_cpu

test: $(VENV)/.installed-dev ## the default test suite, lint and types included
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/.installed-dev ## fuzzing, fresh installs and the other tests that take minutes
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m slow

lint: $(VENV)/.installed-dev ## ruff, mypy and the import contracts alone
	$(BIN)/python -m pytest tests/packaging/test_quality.py

bench: $(VENV)/.installed-dev ## the benchmarks; they print ratios and assert nothing
	$(PIP) --editable '.[dev,bench]'
	for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Ava Workbench needs Python 3.11 or newer; try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	@echo "installing into $(VENV) (once; torch is large) …"
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(VENV)/bin/python
	@echo "installing into $(VENV) (once; torch is large) …"
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed
