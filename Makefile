# Every target works from a clean checkout: the virtual environment is made on first use.
PYTHON  ?= python3
VENV    ?= .venv
RUNS    ?= runs
HISTORY ?= nightly
BIN      = $(VENV)/bin
STAMP    = $(VENV)/.installed
# Bytecode is kept whatever the surroundings say: else each of the tests' processes would compile the harness anew.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help install chaos-local up down clean undo doctor check lint types imports unit test e2e test-long test-clean nightly bench headroom stack-report repeat sweep crash-matrix torment canary-runs bench-faults cases conformance conformance-judge fuzz lock

help: ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-17s %s\n", $$1, $$2}'

# --no-deps: the lock names everything. A pip that resolves would meet `coverage[toml]` and take a newer release than the pin.
$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11 to 3.13 is needed; PYTHON=... names one" >&2; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/pip check --disable-pip-version-check
	@touch $@

install: $(STAMP) ## The virtual environment and nothing else, for a cluster that is there

chaos-local: $(STAMP) ## Cluster, stack, the local set of experiments, a verdict and a report
	@$(BIN)/harness up
	@$(BIN)/pytest experiments --chaos-set local --chaos-runs $(RUNS)

up: $(STAMP) ## Bring up or repair the cluster and the stack
	@$(BIN)/harness up

down: $(STAMP) ## Remove the cluster and what it started; caches stay
	@$(BIN)/harness down

clean: $(STAMP) ## Remove the cluster, the private Docker daemon and what was built here
	@$(BIN)/harness clean --yes

undo: $(STAMP) ## Heal everything that is still broken on purpose
	@$(BIN)/harness undo

doctor: $(STAMP) ## Say whether it can run here, and what is missing
	@$(BIN)/harness doctor

CHECKS = unit types lint imports

check: $(STAMP) ## Lint, types, imports, unit, plugin and snapshot tests (no cluster)
	@$(MAKE) --no-print-directory --jobs 2 $(CHECKS)

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Kept outside of the checkout, so that a clean one need not begin anew.
types: $(STAMP)
	@$(BIN)/mypy --cache-dir "$${HARNESS_CACHE:-$$HOME/.cache/kube-chaos-harness}/mypy"

imports: $(STAMP)
	@$(BIN)/lint-imports

# One worker more than there are cores: some test always waits for a server, a child or a disk. worksteal: a worker
# that is done takes what another has not begun, so a slow test file holds nobody up.
unit: $(STAMP)
	@$(BIN)/pytest -q -n $$(($$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)) --dist worksteal

# The cluster mostly waits while it comes up, so it does that beside the tests that need none.
test: $(STAMP) ## Check, and end to end on a real cluster
	@$(MAKE) --no-print-directory --jobs 3 up $(CHECKS)
	@$(MAKE) --no-print-directory e2e

e2e: $(STAMP) ## End to end on a real cluster: every hand, every way to die, every weakening
	@$(BIN)/harness up
	@$(BIN)/pytest -q --durations 20 -m "not long and not bare" tests/e2e

test-long: $(STAMP) ## What `make test` leaves out: experiments and weakenings of mesh, scaling and delivery, and what drains and rollovers lose
	@$(BIN)/harness up
	@$(BIN)/pytest -v --durations 20 -m long tests/e2e

test-clean: $(STAMP) ## Does `harness clean` give the machine back as it was? Takes the cluster down and tries it with another
	@$(BIN)/harness down
	@$(BIN)/pytest -v -m bare tests/e2e

nightly: $(STAMP) ## The nightly set on the stack's core, compared with the nights before: HISTORY=nightly; docs/nightly.md
	@$(BIN)/harness up
	@$(BIN)/harness nightly --runs $(RUNS) --history $(HISTORY)

bench: $(STAMP) ## This harness beside Chaos Toolkit on the same pod kill; docs/bench.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench

N    ?= 10
BUSY ?= 0,1

repeat: $(STAMP) ## The local set N times, quiet and with cores kept busy: N=10 BUSY=0,1; docs/repeatability.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.repeat --rounds $(N) --busy $(BUSY) --runs $(RUNS)

sweep: $(STAMP) ## Every kind of workload, fault and budget beside an oracle that asks the API server only; docs/sweep.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.sweep --rows $(RUNS)/sweep.json

crash-matrix: $(STAMP) ## Every fault, and whatever may die during it: ONLY=pod_freeze,api-stopped SHARD=1/3; docs/crash-matrix.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.crash_matrix --only "$(ONLY)" --shard "$(SHARD)"

torment: N = 200
torment: $(STAMP) ## Random processes killed at random moments of random faults: N=200 SEED=1; docs/torment.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.torment --count $(N) --seed $(SEED) --rows $(RUNS)

canary-runs: N = 20
canary-runs: $(STAMP) ## Good and bad releases, each held against what is declared of it: N=20 SEED=1; docs/canary-runs.md
	@$(BIN)/harness up --parts core,delivery
	@$(BIN)/python -m bench.canary_runs --count $(N) --seed $(SEED) --runs $(RUNS)

bench-faults: $(STAMP) ## How fast each fault is applied, felt and removed, and an abort begins: ONLY=pod_freeze; docs/bench-faults.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.fault_times --only "$(ONLY)"

headroom: $(STAMP) ## What the stack costs: at rest, and under each load of the local set; docs/headroom.md
	@$(BIN)/harness up
	@$(BIN)/python -m bench.headroom

# All of them: each row says which it needs.
PARTS ?= $(shell cd stack/parts && printf '%s,' * | sed 's/,$$//')

stack-report: $(STAMP) ## What the seed says of the stack, proved by behaviour: PARTS=core,mesh ONLY=mesh/retries; docs/stack.md
	@$(BIN)/harness up --parts $(PARTS)
	@$(BIN)/python -m bench.stack_report --parts "$(PARTS)" --only "$(ONLY)"

cases: $(STAMP) ## Write docs/cases.md from the tests that carry cases from real life
	@$(BIN)/python -m tests.cases > docs/cases.md

conformance: $(STAMP) ## Documents under `chaos run` and under `harness run`: same steps, same order, same hypothesis? docs/conformance.md
	@$(BIN)/python -m bench.conformance --write docs/conformance.md

conformance-judge: COUNT = 150
conformance-judge: $(STAMP) ## The canary's judge beside the live controller, over templates by seed: COUNT=150 SEED=1; docs/judge.md
	@$(BIN)/harness up --parts core,delivery
	@$(BIN)/python -m bench.judge --count $(COUNT) --seed $(SEED) --rows $(RUNS)

COUNT ?= 20000
SEED  ?= 1

fuzz: $(STAMP) ## Mutated documents and kubeconfigs: no traceback, no exit 7; COUNT=20000 SEED=1
	@$(BIN)/python -m bench.fuzz_documents --count $(COUNT) --seed $(SEED)
	@$(BIN)/python -m bench.fuzz_kubeconfig --count $(COUNT) --seed $(SEED)

lock: ## Write requirements.lock anew: exact versions, hashes, markers for every Python, no address
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --extra dev --output-file requirements.lock pyproject.toml
