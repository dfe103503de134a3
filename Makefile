# Two commands for newcomers: `make run` and `make test`. Everything else is for developers.

VENV    ?= .venv
PYTHON  ?= python3
BIN     := $(VENV)/bin
CONFIG  ?= configs/quickstart.yaml

.PHONY: run test test-compiled lint fuzz check docs bench bench-balance bench-quick bench-scaler clean

run: $(VENV)/.installed ## Install and start the quickstart: a gateway with its agents
	@$(BIN)/python examples/tour.py &
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/headrace run $(CONFIG)

test: $(VENV)/.installed-dev ## Install what the tests need, and run them
	@deploy/install-test-servers.sh
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-compiled: $(VENV)/.installed-dev ## Run the tests of the router on compiled modules
	deploy/test-compiled.sh $(abspath $(BIN))

lint: $(VENV)/.installed-dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

FUZZ_SECONDS ?= 30
fuzz: $(VENV)/.installed-dev ## Look for bytes that break the rules of the readers, both ways
	@if $(BIN)/python -c 'import importlib.util as u; raise SystemExit(not u.find_spec("atheris"))'; \
	then for side in requests replies; do \
	  $(BIN)/python -m tests.fuzz $$side -max_total_time=$(FUZZ_SECONDS) -verbosity=0 || exit 1; done; \
	else echo "no atheris for this Python: nothing was fuzzed"; fi

check: lint test fuzz ## All of it

docs: $(VENV)/.installed-dev ## Write the generated references anew
	$(BIN)/python -m fleet.config.reference

bench: $(VENV)/.installed .venv-bench/.headrace ## Compare with the peers, about 30 minutes
	@bench/install-programs.sh
	$(BIN)/python -m bench $(BENCH_ARGS)

bench-quick: ## The same in about 4 minutes, with fewer rounds
	@$(MAKE) --no-print-directory bench BENCH_ARGS="--quick $(BENCH_ARGS)"

bench-balance: $(VENV)/.installed .venv-bench/.headrace ## Compare balance policies, about 12 minutes
	@bench/install-programs.sh
	$(BIN)/python -m bench.balance $(BENCH_ARGS)

bench-scaler: $(VENV)/.installed ## Compare the policies on ../shared/traces, about 25 minutes
	$(BIN)/python -m bench.scaler --publish $(BENCH_ARGS)

clean: ## Remove the environment and caches
	rm -rf $(VENV) .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Headrace needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || deploy/install-packages.sh python3-venv
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Peers that cannot be installed here are named as absent by the benchmark.
.venv-bench/.installed: bench/constraints.txt | $(VENV)/bin/pip
	@$(PYTHON) -m venv .venv-bench
	@for peer in $$(grep -v '^#' $<); do \
	  .venv-bench/bin/pip install --quiet --disable-pip-version-check "$$peer" || true; \
	done
	@touch $@

# Headrace as it is installed for production: compiled, if there is a compiler.
.venv-bench/.headrace: .venv-bench/.installed setup.py constraints.txt $(shell find fleet router scaler headrace -name '*.py')
	@echo "building headrace into .venv-bench ..."
	@rm -rf build/lib* build/bdist*
	@.venv-bench/bin/pip uninstall --quiet --yes headrace
	@.venv-bench/bin/pip install --quiet --disable-pip-version-check -c constraints.txt .
	@touch $@
