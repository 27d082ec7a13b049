# The two commands of the README, and what development needs. Everything happens in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types check clean

demo: $(VENV)/installed ## transcribe and classify the example clips with the embedded models, offline
	@echo "sew transcribe --offline examples/speech"
	@$(BIN)/sew transcribe --offline examples/speech
	@echo "sew classify --offline examples/keywords"
	@$(BIN)/sew classify --offline examples/keywords

test: $(VENV)/installed-test ## run the tests
	$(BIN)/python -m pytest -q

lint: $(VENV)/installed-dev ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev ## static types
	$(BIN)/mypy

check: test lint types ## what continuous integration runs

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lm]' # compiled; its tests are skipped without it
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
