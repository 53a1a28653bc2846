# thinwatt. `make` alone lists what there is. Every target makes the virtual environment it needs.
#
#   make test PYTHON=python3.13 VENV=/tmp/thinwatt-3.13    another interpreter, in a place of its own
#   make test ARGS="tests/agent -k wrap"                   some of it

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

PY    := $(VENV)/bin/python
STAMP := $(VENV)/.made-from

.DEFAULT_GOAL := help
.PHONY: help demo test quick check bench golden fuzz peers docs lock clean venv

help: ## list these
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## collector, the agent on this very machine and a simulated campus of a year; Ctrl-C ends it
	@exec $(PY) -m thinwatt_collector.demo $(ARGS)

test: venv ## all tests; those of real servers where the servers are installed (make peers)
	$(PY) -m pytest $(ARGS)

quick: venv ## the tests that take seconds
	$(PY) -m pytest -m "not slow and not peer" $(ARGS)

check: venv ## what a machine can check: style, types, who imports whom, documents made from code
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/repository -m "not slow"

bench: venv ## the figures, each beside a peer measured in the same run; ARGS=--list says which, ARGS=--quick for a look
	$(PY) -m benchmarks $(ARGS)

golden: venv ## accept what came out as the new golden files, then look at the change
	$(PY) -m pytest -q -m "not peer" --update-golden $(ARGS)
	git --no-pager diff --stat

fuzz: venv ## the property tests with 20,000 examples each: hours; ARGS=tests/agent/test_wire.py for one
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest -m "not slow and not peer" --timeout=0 $(ARGS)

peers: ## install the servers that tests and benchmarks talk to, as Debian packages (needs root)
	.ci/peers bench

docs: venv ## write the documents that are made from code
	$(PY) -m thinwatt_collector.catalogue > docs/metrics.md

lock: ## pin everything anew in requirements.lock
	.ci/lock

clean: ## remove the demo's state, builds and caches (the virtual environment stays: rm -r .venv)
	rm -rf demo-state bench-results build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find agent collector tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@.ci/venv "$(PYTHON)" "$(VENV)"
