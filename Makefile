# Two commands matter: `make demo` and `make test`. Everything lives in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CORPUS ?= $(or $(COUGH_CORPUS),../shared/corpus)
CONFIG ?= training/default.toml

.PHONY: demo test lint train report worked-example ablation tiers bench examples serve clean

demo: $(VENV)/.serve  ## install what serving needs, screen the bundled example recordings
	$(BIN)/cough demo

test: $(VENV)/.all lint  ## the whole suite, ruff and mypy
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

train: $(VENV)/.all  ## remake the shipped bundle; with CORPORA=DIR,DIR one from your own corpora, in runs/own
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.pipeline --config $(CONFIG) $(if $(CORPORA),--corpus '$(CORPORA)' --out runs/own)

report: $(VENV)/.all  ## remake the shipped bundle's tables and figures, its model card, its golden vectors
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.gate_report
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.soundscapes
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.robustness
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.report
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.probe
	$(BIN)/python -m training.card
	$(BIN)/python -m training.golden tests/training/golden.json

worked-example: $(VENV)/.all  ## the evaluation of the shipped bundle that data_manifests/worked_example holds
	rm -rf runs/worked_example
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.worked_example runs/worked_example data_manifests/worked_example

ablation: $(VENV)/.all  ## what each piece of the gate's recipe is worth on unheard corpora (a long run)
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.ablation

tiers: $(VENV)/.all  ## the gate of both licence tiers, side by side; trains the open one
	COUGH_CORPUS=$(CORPUS) $(BIN)/python -m training.tiers

bench: $(VENV)/.all  ## speed, as ratios against references measured in the same run
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.batches

examples: $(VENV)/.all  ## remake the synthetic example recordings
	$(BIN)/python -m training.synth cough/examples

serve: $(VENV)/.serve
	$(BIN)/cough serve

clean:
	rm -rf $(VENV) .cache runs .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.serve: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[serve]'
	touch $@

$(VENV)/.all: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@ $(VENV)/.serve
