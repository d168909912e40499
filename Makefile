# Everything runs in .venv, which each target makes by itself the first time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread a process: two test workers share two cores, and results do not depend on the machine.
TEST_ENV := OMP_NUM_THREADS=1 WANDB_MODE=offline HF_HUB_OFFLINE=1

.PHONY: help fit test test-all check style format results docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

fit: $(VENV)/quickstart  ## train our LSTM on real reviews
	$(BIN)/python -m lit_tasks fit --config configs/quickstart_lstm.yaml

test: $(VENV)/dev  ## run the tests but for those marked slow
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(PYTEST_OPTIONS)

test-all: $(VENV)/dev  ## run all tests, with more examples for those that draw them
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_OPTIONS)

check: style  ## style, types and import directions, then all tests
	$(MAKE) test-all

style: $(VENV)/dev  ## style, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: $(VENV)/dev  ## run every experiment whose data are in DATA (data) and write docs/results.md
	$(BIN)/python benchmarks/results.py $(if $(DATA),--data $(DATA))

docs: $(VENV)/docs  ## build the site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/quickstart: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[quickstart]'
	touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/quickstart

$(VENV)/docs: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@
