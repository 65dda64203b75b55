# Two commands on a fresh machine: `make book` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# What to install as it stands, e.g. CONSTRAINTS=constraints.txt: exact versions and the SHA-256 of
# their files, for Python 3.11 on Linux, with CUDA. Empty: the newest that the lists allow.
CONSTRAINTS ?=
# 1: a new environment without CUDA's libraries. It remembers that; later calls need not say it.
CPU ?=
PYTEST_FLAGS ?=
# Tests at a time, a thread each, where PYTEST_FLAGS says nothing: each process takes about 1 GB.
SIDE_BY_SIDE = $(if $(PYTEST_FLAGS),,-n auto --maxprocesses 4)
PORT ?= 8000

# `make` removes it where it is half-made, so it is this folder and no other.
override VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
WITHOUT_CUDA := $(if $(filter 1,$(CPU))$(wildcard $(VENV)/.cpu),yes)
TOOLS := -r requirements-dev.txt
ifneq ($(CONSTRAINTS),)
# Nothing that is not in the file: no dependencies, and no build tools for the package itself.
NEEDED := --no-deps --require-hashes -r $(CONSTRAINTS)
TOOLS :=
OURSELVES := --no-build-isolation
else ifeq ($(WITHOUT_CUDA),yes)
# PyTorch from its own index of CPU wheels, and FAISS for the CPU, which the package asks for itself.
NEEDED := --extra-index-url https://download.pytorch.org/whl/cpu -e ".[train,plots,book]"
else
NEEDED := -r requirements.txt
endif
# pip says a line for everything that is there already; what it does should remain visible.
NEWS := | { grep -v "already satisfied" || true; }
# The book is the same with or without a data set at hand.
JUPYTER_BOOK := env -u SSL_COMPANION_DATA -u OMP_NUM_THREADS $(BIN)/jupyter-book build . -W -n --keep-going

.PHONY: book pdf slides student test test-slow test-browser test-colab test-all lint format notebooks repository serve links bench \
	constraints clean clean-all help

book: $(VENV)/.book ## Install what the book needs, execute every chapter, build the HTML
	$(JUPYTER_BOOK)
	@echo "The book: file://$(CURDIR)/_build/html/index.html"

slides: $(VENV)/.book ## A slide deck for each chapter, in _build/slides (run `make book` first)
	$(BIN)/python book/_tools/slides.py

pdf: $(VENV)/.dev ## The whole book as a PDF, into the site (run `make book` first; needs Chromium)
	$(BIN)/python book/_tools/pdf.py

student: $(VENV)/.book ## The notebooks without solutions, and a zip of them, in _build/student
	$(BIN)/python book/_tools/student.py

# Without bytecode, where an environment asks for that, dozens of processes compile everything anew.
test: $(VENV)/.dev ## Install the test tools too, run the tests (no data set, no network)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
	  -m "not slow and not browser and not colab" $(PYTEST_FLAGS) $(SIDE_BY_SIDE)

test-slow: $(VENV)/.dev ## The tests that take longer
	$(BIN)/python -m pytest -m "slow and not browser and not colab" $(PYTEST_FLAGS)

test-browser: $(VENV)/.dev ## The built book in Chromium (run `make book` first)
	$(BIN)/python -m pytest -m browser tests/book tests/golden $(PYTEST_FLAGS)

test-colab: $(VENV)/.dev ## Every notebook alone in an environment like Colab's (package index)
	$(BIN)/python -m pytest -m colab tests/book $(PYTEST_FLAGS)

test-all: test test-slow book test-browser test-colab ## Everything that .ci/run checks but lint

bench: $(VENV)/.dev ## Measuring a snapshot, by part; then all that a user would do in another way, beside that way
	$(BIN)/python tests/benchmarks/bench_measures.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_encoder_measures.py --images 200000

lint: $(VENV)/.dev ## ruff, mypy, and whether the notebooks follow their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python book/_tools/sync.py --check

format: $(VENV)/.dev ## Let ruff write what it can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(VENV)/.book ## Write the paired notebooks, first cells and badges from their sources
	$(BIN)/python book/_tools/sync.py

repository: $(VENV)/.book ## Set the repository's address everywhere: make repository URL=https://...
	$(BIN)/python book/_tools/sync.py --repository "$(URL)"

serve: book ## Build, then serve the book on http://localhost:8000 (PORT=...)
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

links: $(VENV)/.book ## Follow every link of the book (needs the network)
	$(JUPYTER_BOOK) --builder linkcheck

constraints: $(VENV)/.dev ## Write constraints.txt from what is installed now
	$(if $(WITHOUT_CUDA),$(error $(VENV) is without CUDA and constraints.txt is for both: `make clean-all`, then this without CPU=1))
	{ $(BIN)/python -m pip freeze --exclude-editable; echo "setuptools>=77"; echo wheel; } > $(VENV)/installed.txt
	$(BIN)/python -m pip install -q --dry-run --ignore-installed --no-deps \
	  --report $(VENV)/report.json -r $(VENV)/installed.txt
	{ echo "# What CI installs, from $$($(BIN)/python -V) on Linux; \`make constraints\` renews it."; \
	  $(BIN)/python book/_tools/pins.py $(VENV)/report.json; } > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean: ## Remove what was built
	rm -rf _build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find ssl_companion book tests -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## Remove the environment too
	rm -rf $(VENV) *.egg-info

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An environment without pip is what an interrupted `make`, or a Python without ensurepip, left.
ifneq ($(wildcard $(BIN)/python),)
ifeq ($(wildcard $(BIN)/pip $(VENV)/.book),)
.PHONY: $(BIN)/python
endif
endif

ifneq ($(and $(CONSTRAINTS),$(WITHOUT_CUDA)),)
$(error CONSTRAINTS=$(CONSTRAINTS): it names wheels with CUDA; use it without CPU=1, in a new environment)
endif

ifeq ($(filter 1,$(CPU))$(if $(wildcard $(VENV)/.cpu),,$(wildcard $(VENV)/.book)),1$(VENV)/.book)
$(error CPU=1: $(VENV) has CUDA's libraries already; use it without CPU=1, or `make clean-all` first)
endif

# The environment: made once, completed when the lists of requirements change.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
	  echo "Python 3.10 to 3.13 is needed and $(PYTHON) is not one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make $(VENV) with pip in it. On Debian and Ubuntu:" \
	    "apt-get install $(notdir $(PYTHON))-venv, then the same \`make\` again." >&2; exit 1; }

$(VENV)/.book: requirements.txt pyproject.toml | $(BIN)/python
ifeq ($(WITHOUT_CUDA),yes)
	@echo "Installing requirements.txt without CUDA into $(VENV) (the first time: some minutes, about 2 GB)"
	@touch $(VENV)/.cpu
else
	@echo "Installing requirements.txt into $(VENV) (the first time: some minutes, and on Linux about 8 GB," \
	  "most of it PyTorch's CUDA libraries; without those about 2 GB: make book CPU=1)"
endif
	@$(PIP) $(NEEDED) $(NEWS)
	@$(PIP) -q --no-deps $(OURSELVES) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.book requirements-dev.txt
	@echo "Installing the test tools"
	@$(PIP) $(NEEDED) $(TOOLS) $(NEWS)
	@touch $@
