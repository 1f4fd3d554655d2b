# Works in a fresh clone: each target does the set-up that it needs. `make` lists the targets.
#
#     make bench SUITE=notebook ADDRESS=auto BLOCKS=5 ARGS="--set epochs=3"
#     make bench SUITE=notebook CLUSTER=clusters/onprem.yaml

SUITE ?= quick
VENV := .venv
BIN := $(VENV)/bin
RUN ?= $(shell ls -td results/runs/*/ 2>/dev/null | head -n 1)

# The newest suitable Python that can create environments; PYTHON=... chooses another.
SUITABLE := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$python && break; done)

# Fetch CUDA's libraries only if there is a driver to use them.
DRIVER := $(wildcard /proc/driver/nvidia/version)$(shell command -v nvidia-smi 2>/dev/null)
EXTRAS ?= dev$(if $(DRIVER),$(comma)gpu)
comma := ,
STAMP = $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

RUN_OPTIONS = $(if $(CLUSTER),--cluster '$(CLUSTER)') $(if $(ADDRESS),--address '$(ADDRESS)') \
	$(if $(OUT),--out '$(OUT)') $(if $(BLOCKS),--blocks '$(BLOCKS)') $(if $(DEVICE),--device '$(DEVICE)') \
	$(if $(RESUME),--resume) $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install data bench test test-slow test-cluster test-browser test-tensorflow test-gpu check report publish reference results gpu-counters perf clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## create .venv with the pinned dependencies and the bench command

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c '$(SUITABLE)' >/dev/null 2>&1 || { echo 'make: no Python 3.11 to 3.13 that' \
		'can make environments: apt-get install python3-venv, or set PYTHON=...' >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable '.[$(EXTRAS)]'
	@touch $@

data: install
	$(BIN)/bench data fetch

bench: install ## run SUITE (quick) and print its table; CLUSTER= ADDRESS= OUT= BLOCKS= RESUME= ARGS=
	$(BIN)/bench run '$(SUITE)' $(RUN_OPTIONS)

DEFAULT_TESTS := not perf and not cluster and not browser and not tensorflow and not gpu

test: data ## run the tests, ten minutes on two cores; ARGS= goes to pytest
	$(BIN)/python -m pytest -m 'not slow and $(DEFAULT_TESTS)' $(ARGS)

test-slow: data ## run the slower tests, most of them complete runs
	$(BIN)/python -m pytest -m 'slow and $(DEFAULT_TESTS)' $(ARGS)

test-cluster: data cluster-packages ## run the tests on real nodes, as root; REQUIRE=1 skips none
	@$(if $(REQUIRE),$(BIN)/python -m tests.cluster.missing_packages)
	$(BIN)/python -m pytest -rs -m cluster tests/cluster tests/clusters $(ARGS)

test-browser: install browser-packages ## run the tests of the page in a real Chromium
	$(BIN)/python -m pytest -rs -m browser tests/browser $(ARGS)

# Install the Debian packages that tests need (tests/*/packages.txt; report: LaTeX, without which
# `make test` skips its tests). With REQUIRE=1 a missing package is an error.
SKIPPED = $(if $(REQUIRE),,: tests that need them will be skipped)
%-packages: tests/%/packages.txt
	@for package in $$(cat $<); do \
		dpkg-query --show --showformat='$${db:Status-Abbrev}' "$$package" 2>/dev/null | grep -q '^ii' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && apt-get install -qq -y $$missing || \
		{ echo "make: apt-get could not install$$missing$(SKIPPED)" >&2; $(if $(REQUIRE),exit 1,true); }; fi

TENSORFLOW ?= 2.18
OTHER_VENV = .venv-tensorflow-$(TENSORFLOW)

test-tensorflow: install $(OTHER_VENV)/.installed ## train under another TENSORFLOW (2.18) beside this one
	BENCH_OTHER_PYTHON='$(abspath $(OTHER_VENV))/bin/python' \
		$(BIN)/python -m pytest -rs -m tensorflow tests/other_tensorflow $(ARGS)

# It has what a trial imports, and nothing else.
%/.installed:
	"$(PYTHON)" -m venv --clear $*
	$*/bin/python -m pip install --quiet 'tensorflow-cpu==$(TENSORFLOW).*' pydantic
	@touch $@

test-gpu: install ## run the tests on a real GPU
	$(BIN)/python -m pytest -rs -m gpu tests/gpu $(ARGS)

check: install ## lint, format, types, imports between layers, published tables
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bench verify-published
	$(if $(wildcard results/published/turns/*/run.json),$(BIN)/bench verify-published --into results/published/turns)

report: install ## write the report of RUN (the latest)
	@test -n '$(RUN)' || { echo 'make: no run in results/runs: set RUN=...' >&2; exit 2; }
	$(BIN)/bench report '$(RUN)' $(ARGS)

publish: install ## write RUN (the latest) into results/published/NAME
	@test -n '$(RUN)' -a -n '$(NAME)' || { echo 'make: publish needs NAME=..., and a RUN' >&2; exit 2; }
	$(BIN)/bench publish '$(RUN)' '$(NAME)' --replace $(ARGS)
	@$(MAKE) --no-print-directory results EXTRAS='$(EXTRAS)'

reference: install ## regenerate docs/reference.md and the schema of results from the code
	$(BIN)/python -m docs.generate.reference > docs/reference.md
	$(BIN)/python -m bench.report.text.result_schema > docs/results.schema.json

results: install ## regenerate docs/results.md and docs/performance.md from what is published
	$(BIN)/python -m docs.generate.published_results > docs/results.md
	$(BIN)/python -m docs.generate.turn_measurements docs/performance.md

gpu-counters: install ## print the tables of counted GPU work for docs/gpu.md; takes minutes
	@$(BIN)/python -m tests.cuda.table

perf: ## print the cost of the harness and the speed of training; never fails
	@$(MAKE) --no-print-directory data EXTRAS='$(EXTRAS),perf'
	$(BIN)/python -m pytest -m perf tests/perf $(ARGS)

clean: ## remove the environment and all caches, never results
	rm -rf $(VENV) .venv-tensorflow-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache .hypothesis .benchmarks
	find bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
