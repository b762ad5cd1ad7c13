# make demo   sets up, reconstructs real photographs through real networks, says where to look
# make test   sets up, runs every check
# make quick  style, types and the tests of what has changed, in a minute and a half
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test quick lint types pytest coverage lowest bench docs clean

demo: .venv/.demo
	$(BIN)/python examples/demo.py demo

test: lint types pytest

quick: lint types
	$(BIN)/python .ci/quick.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $$(git ls-files)
	$(BIN)/lint-imports

types: .venv/.dev
	$(BIN)/mypy

pytest: .venv/.dev
	$(BIN)/python -m pytest --durations 20

coverage: .venv/.dev
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

lowest: .venv-lowest/.ready
	.venv-lowest/bin/python -m pytest -m "not slow" --ignore tests/test_docs.py

bench: .venv/.dev
	$(BIN)/python benchmarks/reconstruct.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/compare.py --grid 7 --pictures 128
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/units.py
	$(BIN)/python benchmarks/space.py
	$(BIN)/python benchmarks/layers.py resnet50
	$(BIN)/python benchmarks/layers.py

docs: .venv/.dev
	$(BIN)/python docs/make_figures.py
	$(BIN)/python -m pytest tests/test_docs.py -k "link or menu"
	$(BIN)/zensical build --clean --strict

clean:
	rm -rf .venv .venv-lowest .cache demo site build dist

# Dependency groups need pip 25.1, which is newer than the one that Python 3.11 brings.
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet 'pip>=25.1'

.venv/.demo: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[compare,space]' --group demo
	touch $@

.venv/.dev: .venv/.demo
	$(BIN)/pip install --quiet --editable '.[compare,ray,space,tar,train]' --group dev
	touch $@

.venv-lowest/.ready: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet 'pip>=25.1'
	.venv-lowest/bin/python .ci/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install --quiet --editable '.[compare,space,tar]' --group test --constraint .venv-lowest/lowest.txt
	touch $@
