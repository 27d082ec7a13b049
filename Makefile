# The two commands of the README, and what development needs. Everything happens in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# bytecode is made of what is imported, when it is: that of everything takes half the time of the installation
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# one process more than cores: tests wait for processes of their own
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --dist worksteal -n $$($(BIN)/python -c "from sewcli.processes.pool import cores; print(cores() + 1)")
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-reference test-matrix test-card lint types check clean

demo: $(VENV)/installed ## transcribe and classify the example clips with the embedded models, offline
	@echo "sew transcribe --offline examples/speech"
	@$(BIN)/sew transcribe --offline examples/speech
	@echo "sew classify --offline examples/keywords"
	@$(BIN)/sew classify --offline examples/keywords

test: $(VENV)/installed-test ## run the tests
	$(PYTEST)

# they measure: no more processes than cores
test-slow: $(VENV)/installed-test ## the tests that take longest: whole benchmarks, long trainings, measured memory
	$(PYTEST) -n auto -m slow

test-reference: $(VENV)/installed-test ## the tests of the commands, with transformers as the engine
	TEST_SEW_ENGINE=reference $(PYTEST) tests/test_cli_*.py tests/test_embedded.py

test-matrix: test ## the tests of the commands with every engine, dtype and number of threads too (40 minutes)
	for cell in fast/float32 fast/bfloat16 fast/int8 reference/float32 reference/bfloat16; do for threads in 1 2; do \
		echo "$$cell, $$threads threads"; \
		TEST_SEW_ENGINE=$${cell%/*} TEST_SEW_DTYPE=$${cell#*/} TEST_SEW_THREADS=$$threads \
		OMP_NUM_THREADS=$$threads $(BIN)/python -m pytest -q \
			-n $$($(BIN)/python -c "import os; print(max(1, os.cpu_count() // $$threads))") || exit 1; \
	done; done

test-card: $(VENV)/installed-test ## what needs a CUDA device, and the tests of the commands on one
	$(PYTEST) -m card
	TEST_SEW_DEVICE=cuda $(PYTEST) tests/test_cli_*.py tests/test_embedded.py

lint: $(VENV)/installed-dev ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev ## static types
	$(BIN)/mypy

check: test test-slow lint types ## the tests, style and types

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[test]'
	-$(INSTALL) -e '.[lm]' # compiled; its tests are skipped without it
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $@
