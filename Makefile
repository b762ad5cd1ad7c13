# make demo   sets up, reconstructs real photographs through real networks, says where to look
# make test   sets up, runs every check
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types pytest bench docs clean

demo: .venv/.demo
	$(BIN)/python examples/demo.py demo

test: lint types pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

pytest: .venv/.dev
	$(BIN)/python -m pytest

bench: .venv/.dev
	$(BIN)/python benchmarks/reconstruct.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/units.py
	$(BIN)/python benchmarks/space.py
	$(BIN)/python benchmarks/layers.py resnet50
	$(BIN)/python benchmarks/layers.py

docs: .venv/.dev
	$(BIN)/python docs/make_figures.py
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo site build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

.venv/.dev: .venv/.demo
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@
