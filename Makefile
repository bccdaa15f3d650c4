# Every step that a person or a build machine runs. Needs make and a Python of 3.11 to 3.13; nothing else.

IS_OURS = -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null

# The newest that runs (a shim of pyenv may be there for a Python that is not); `make PYTHON=/path/to/python` overrides.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" $(IS_OURS) && { echo "$$p"; break; }; done)

BIN := .venv/bin
LOCKED := .venv/.locked
INSTALLED := .venv/.installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --progress-bar off --disable-pip-version-check --no-input

CHECK_PYTHON = "$(PYTHON)" $(IS_OURS) || \
	{ echo "make: seqcols needs Python 3.11, 3.12 or 3.13: install it, or say where it is with make PYTHON=/path/to/python" >&2; exit 1; }

# Passed on to the tool: `make test ARGS="-k padding -n 0"`, `make lock ARGS=--upgrade`.
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test test-all test-pythons coverage wheel flink-test report-test torch-test docs template test-parity fuzz faults lint format lock bench bench-memory bench-files clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'

env: $(INSTALLED) ## make .venv from requirements.lock and install seqcols into it, editable (once)

# The stamp is a copy of the lock, so that a checkout which only touches the file costs nothing. From scratch, so that what
# a new lock no longer names does not stay behind. Importing TensorFlow without byte code takes 20 s instead of 4, so
# compile here, on all cores, whatever PYTHONDONTWRITEBYTECODE says; some libraries ship files that are templates or for
# another Python, which do not compile and need not. --no-deps: the lock is whole, so nothing is left to resolve; pip 23.2,
# which Python 3.11 brings, takes the newest version of what a package wants with an extra, whatever the lock pins.
$(LOCKED): requirements.lock
	@if cmp -s requirements.lock $@; then touch $@; exit; fi; set -e; \
	$(CHECK_PYTHON); \
	echo "making .venv with $(PYTHON)"; \
	"$(PYTHON)" -m venv --clear .venv; \
	echo "installing the packages of requirements.lock (about 3 minutes, 3 GB on disk)"; \
	$(PIP_INSTALL) --no-compile --no-deps --require-hashes -r requirements.lock; \
	$(BIN)/python -m pip check --disable-pip-version-check; \
	echo "compiling byte code"; \
	env -u PYTHONDONTWRITEBYTECODE -u PYTHONPYCACHEPREFIX $(BIN)/python -W ignore -m compileall -qq -j 0 .venv/lib || true; \
	cp requirements.lock $@

$(INSTALLED): $(LOCKED) setup.py
	@echo "installing seqcols, editable"
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@env -u PYTHONDONTWRITEBYTECODE -u PYTHONPYCACHEPREFIX $(BIN)/python -m compileall -qq pipeline seqcols transforms
	@echo "compiling the kernels"
	@$(BIN)/python -m pipeline.compile_kernels
	@touch $@

# The sdist is made first and the wheel of what is in it, in a folder of its own: nothing of an earlier build gets in.
wheel: env ## build the sdist and the wheel, into dist
	@rm -rf dist; mkdir -p build
	@$(BIN)/python -m build --no-isolation --outdir dist . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	@ls dist/*

demo: env ## run the whole pipeline on made-up data, into build/demo
	@$(BIN)/seqcols demo build/demo

test: env ## run the tests but the slow ones, which takes some minutes (ARGS="-k name -n 0" goes to pytest)
	@echo "running the tests, without those marked slow"
	@$(BIN)/pytest $(ARGS)

test-all: env ## run all tests, the slow ones too: kills, buckets, processes, models trained (about half an hour)
	@echo "running all tests (about half an hour)"
	@$(BIN)/pytest -m "not flink and not browser and not torch" $(ARGS)

test-pythons: wheel build/lock-env/.made ## the same jobs on every Python here, from the lock and the wheel (3 GB each, once; ARGS="--only 3.12")
	@echo "running the same jobs on every Python of this machine (some minutes each)"
	@$(BIN)/python -m tests.pythons.run --uv $(CURDIR)/build/lock-env/bin/uv $(ARGS)

coverage: env ## run what make test runs, and say which lines that touches (build/coverage/index.html)
	@echo "running the tests, without those marked slow, and counting lines"
	@$(BIN)/pytest --cov --cov-report=term:skip-covered --cov-report=html:build/coverage $(ARGS)

report-test: env ## look at report.html, and the page of compare, in headless Chromium (apt-get install chromium chromium-driver); pictures in build/report
	@echo "looking at report.html in a browser"
	@$(BIN)/pytest -n 0 -m browser tests/test_report_browser.py tests/test_compare_browser.py $(ARGS)

lint: env ## check style, formatting and types
	@echo "checking style and formatting"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "checking types"
	@$(BIN)/mypy
	@echo "checking imports"
	@mkdir -p build && $(BIN)/lint-imports --no-cache >build/imports.log || { cat build/imports.log; exit 1; }

format: env ## format the code and fix what can be fixed by itself
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

# One lock for every Python in setup.py's range: what differs among them stands in markers. setuptools and wheel are for
# installing seqcols itself without build isolation. The resolver has an environment of its
# own, so that a lock which does not install can be mended.
lock: build/lock-env/.made ## rewrite requirements.lock, keeping its versions where they still fit (ARGS=--upgrade: newest)
	@echo "resolving requirements.lock"
	@cp requirements.lock build/requirements.lock
	@printf 'setuptools>=77\nwheel\n' | build/lock-env/bin/uv pip compile --quiet --no-config --no-header \
		--python build/lock-env/bin/python --universal --python-version 3.11 --generate-hashes \
		--extra test --extra lint --extra bench --extra docs --extra release $(ARGS) --output-file build/requirements.lock setup.py -
	@! grep -nF -e '://' -e '$(CURDIR)' build/requirements.lock
	@cp build/requirements.lock requirements.lock
	@cp tests/torch.lock build/torch.lock
	@echo 'torch>=2.3' | build/lock-env/bin/uv pip compile --quiet --no-config --no-header \
		--python build/lock-env/bin/python --universal --python-version 3.11 --generate-hashes \
		--constraint requirements.lock $(ARGS) --output-file build/torch.lock -
	@! grep -nF -e '://' -e '$(CURDIR)' build/torch.lock
	@cp build/torch.lock tests/torch.lock

build/lock-env/.made:
	@$(CHECK_PYTHON)
	@echo "making build/lock-env"
	@"$(PYTHON)" -m venv --clear build/lock-env
	@build/lock-env/bin/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

flink-test: env ## run jobs on a Flink cluster that this starts and stops, losing machines (Java 17 and mvn; fetches 330 MB once)
	@$(BIN)/python -m deploy.flink.parts
	@echo "running the tests on Flink (some minutes)"
	@$(BIN)/pytest -m flink -n 0 -rA --show-capture=stdout tests/flink $(ARGS)

torch-test: env build/torch-env/.made ## test the PyTorch loader and layers in an environment of its own (3 GB to fetch, 5 GB on disk, once)
	@echo "running the tests in PyTorch"
	@build/torch-env/bin/python -m pytest -n 0 -m torch tests/test_loaders_torch.py tests/test_layers_torch.py $(ARGS)

# Not in .venv: PyTorch's wheel for Linux needs NVIDIA's libraries to be imported at all, whatever device it runs on. What is in
# .venv is seen from here, after what is here.
build/torch-env/.made: tests/torch.lock
	@$(CHECK_PYTHON)
	@echo "making build/torch-env"
	@"$(PYTHON)" -m venv --clear build/torch-env
	@build/torch-env/bin/python -m pip install --quiet --progress-bar off --disable-pip-version-check --no-input \
		--no-compile --no-deps --require-hashes -r tests/torch.lock
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$(build/torch-env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/main.pth"
	@touch $@

docs: env ## make one site of the docs and the reference, in build/docs/site; a link that leads nowhere is an error
	@$(BIN)/python docs/site/make.py build/docs

template: env ## make the parameters of the Dataflow template anew from the program's options
	@$(BIN)/python -m pipeline.command.template > deploy/dataflow/metadata.json

test-parity: env ## compare 10,000 seeded cases with TensorFlow's own columns (takes some minutes)
	@echo "comparing 10,000 cases with TensorFlow"
	@SEQCOLS_PARITY_CASES=10000 $(BIN)/pytest --dist=load tests/test_parity_fuzz.py $(ARGS)

fuzz: env ## try 100,000 spoilt files twice, half an hour (ARGS="--first 100000": others; "--seed N": one again)
	@echo "trying 100,000 spoilt files, compiled loops with their bounds checked"
	@NUMBA_BOUNDSCHECK=1 $(BIN)/python -m tests.fuzz.run $(ARGS)
	@echo "trying them again, as a run has them: bounds unchecked"
	@NUMBA_BOUNDSCHECK=0 $(BIN)/python -m tests.fuzz.run $(ARGS)

faults: env ## inject every kind of fault at its full figures, an hour and a half (ARGS="--only disk"; --write: into docs/faults.md)
	@echo "injecting faults (about an hour and a half)"
	@$(BIN)/python -m tests.faults.run $(ARGS)

bench: env ## run all benchmarks against their peers, three quarters of an hour (ARGS="--only J1,J4"; --quick; --write: into docs/benchmarks.md)
	@echo "running the benchmarks (about three quarters of an hour)"
	@$(BIN)/python -m tests.benchmarks.run $(ARGS)

bench-memory: env ## measure peak memory at growing sizes
	@echo "measuring peak memory (takes some minutes)"
	@$(BIN)/python -m tests.benchmarks.memory $(ARGS)

bench-files: env ## measure what a file costs: 1,000 and 10,000 small ones (some minutes)
	@echo "measuring 1,000 and 10,000 files (some minutes)"
	@$(BIN)/python -m tests.benchmarks.many_files $(ARGS)

clean: ## remove build outputs and caches (.venv stays)
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
