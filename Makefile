# make repro: the pipeline on the parameters of params.yaml     make test: the tests
# Both make .venv first if it is missing. Everything works by hand as well: see README.md.

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
SEPARATOR := ;
else
PYTHON ?= python3
BIN := .venv/bin
SEPARATOR := :
endif
# dvc.yaml calls plain `python`, which has to be the one of .venv.
export PATH := $(CURDIR)/$(BIN)$(SEPARATOR)$(PATH)

# make ladder: does each change of ladder.yaml really help? make ladder LADDER="--images data/mine.zip"
# make demo: a page on this machine to drop a photo on
# make bench: the speed comparison, in a virtual environment of its own, after a `dvc repro`; BENCH=--quick: does it run?
# make fuzz: 20,000 mutated files for the readers
# make verify: run the committed pipeline anew, without cache, and compare every output with dvc.lock
.PHONY: repro ladder demo demo-page test verify fuzz bench lint format clean

repro: .venv/installed .git
	dvc repro
	@dvc metrics show reports/metrics.json
	@echo "see reports/report.html"

ladder: .venv/installed .git
	python ladder.py $(LADDER)

demo: .venv/installed
	@test -f models/model.onnx || dvc repro
	python demo.py

# The page as one file, reports/demo.html; npm fetches the part that runs the model in a browser.
demo-page: .venv/installed web/node_modules/.package-lock.json
	@test -f models/model.onnx || dvc repro
	python demo.py --static reports/demo.html $(DEMO)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	npm ci --prefix web --ignore-scripts --no-audit --no-fund

test: .venv/installed-dev .git lint
	python -m pytest

verify: .venv/installed .git
	python tests/verify.py

bench: .venv/installed bench/.venv/installed .git
	dvc repro
	bench/$(BIN)/python bench/compare.py $(BENCH)

fuzz: .venv/installed-dev
	python tests/fuzz.py

lint: .venv/installed-dev
	ruff check .
	ruff format --check .

format: .venv/installed-dev
	ruff format .
	ruff check --fix .

clean:
	rm -rf .venv bench/.venv

.venv/installed: requirements.txt constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else 'error: Python %d.%d found, TensorFlow 2.21 needs 3.11 to 3.13; for example: make PYTHON=python3.13 repro' % sys.version_info[:2])"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -c "open('.venv/installed', 'w')"

bench/.venv/installed: bench/requirements.txt requirements.txt constraints.txt
	$(PYTHON) -m venv bench/.venv
	bench/$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@$(BIN)/python -c "open('bench/.venv/installed', 'w')"

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -c "open('.venv/installed-dev', 'w')"

# A zip download has no .git, and DVC wants one.
.git:
	git init --quiet
	@echo "This folder had no git history (a zip download?), so it is a git repository of its own now."
	@echo "dvc repro works; before dvc exp run, make a first commit: git add -A && git commit -m start"
