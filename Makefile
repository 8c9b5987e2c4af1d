# Everything that anybody does with this project. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
STACK ?= hardened
# Where `make demo` writes report.json.
DEMO := build/demo$(if $(filter-out hardened,$(STACK)),-$(STACK))
CONTROLS := $(BIN)/pytest --k8ssec-controls pytest_k8ssec/controls
# Where `make default-kind` measures: the settings of this repository's own stacks must not count there.
PLAIN := build/default-kind
# The platform's key at its bank: a fresh one each time, as Pulumi config wants a value and nobody should know it.
KEY := export K8SSEC_DEMO_API_KEY="$$($(PYTHON) -c 'import secrets; print(secrets.token_hex(16))')";

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

.PHONY: venv
venv: .venv/ready ## .venv with everything from PyPI, pinned by hash

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	@if ! $(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get update -qq && apt-get install -y -qq python3 python3-venv
	  else
	    echo "python: 3.11 or newer with venv is needed (on Debian: apt-get install python3-venv)" >&2; exit 1
	  fi
	fi
	@echo "venv: installing into .venv"
	@[ -x $(BIN)/python ] && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: docker
docker: ## a docker daemon that answers; installed and started where we are root on Debian
	@$(PYTHON) -m toolchain docker

.PHONY: tools
tools: venv docker ## kind, pulumi, the provider plugin and the images: found, fetched or built (cold: about 20 minutes)
	@$(BIN)/python -m toolchain get

# What tests of report.html look at it with. Where it can't be installed they are skipped, and say so.
.PHONY: browser
browser: ## a headless Chromium for tests of report.html; installed where we are root on Debian
	@if command -v chromium >/dev/null; then exit; fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	  echo "browser: installing chromium"
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
	else
	  echo "browser: no chromium, so report.html is not tried in one (on Debian: apt-get install --no-install-recommends chromium)"
	fi

.PHONY: demo
demo: tools ## all controls on stacks/hardened; STACK=insecure shows what a failing run looks like
	@$(KEY) $(CONTROLS) --k8ssec-stack stacks/$(STACK) --k8ssec-report $(DEMO)

# Tests of two kinds go side by side: those that share one cluster, and those that start runs of their own, whose lines are
# marked. What compares all that docker has comes last, alone.
BESIDE := $(MAKE) --no-print-directory -j2
WHOLE_LINES := sed -u
CLUSTER_TESTS := export K8SSEC_REQUIRE_CLUSTER=1; $(BIN)/pytest --durations 20 --durations-min 20
FAST := tests/unit tests/plugin
ONE_CLUSTER := tests/cluster -m one_cluster --k8ssec-stack stacks/hardened
OWN_RUNS = tests/cluster -m "not one_cluster" --ignore $(KILLS) --ignore $(OTHER_RUNS)
# Those of them that come after the first kind, as that is done before the second.
OTHER_RUNS := tests/cluster/test_languages.py
SABOTAGES := $(CONTROLS) --k8ssec-sabotage --k8ssec-packed --k8ssec-stack stacks/hardened
KILLS := tests/cluster/test_kills.py

# What fails in `make test` while others run beside it is run once more, alone; both are printed. A mistake fails twice: a
# machine that was too busy for two kinds at a time does not.
FAILED := build/failed
DRAWN := $(FAILED)/packs
REMEMBER = -o cache_dir=$(FAILED)/$@
LATER := $(if $(ONCE_MORE),|| [ $$? = 1 ])

.PHONY: test
test: tools browser ## unit, plugin and cluster tests; what takes hours, in part
	@rm -rf $(FAILED)
	export K8SSEC_REQUIRE_BROWSER="$$(command -v chromium >/dev/null && echo 1)"
	$(BESIDE) test-in-turn test-own-runs ONCE_MORE=1
	$(MAKE) --no-print-directory test-once-more
	$(MAKE) --no-print-directory test-alone

.PHONY: test-in-turn
test-in-turn:
	@for part in test-fast test-one-cluster test-some-sabotages test-other-runs; do $(MAKE) --no-print-directory $$part; done 2>&1 | $(WHOLE_LINES) ""

.PHONY: test-fast
test-fast: venv ## unit and plugin tests: no docker, under a minute
	@$(BIN)/pytest $(REMEMBER) $(FAST) -n 2 $(LATER)

.PHONY: test-cluster
test-cluster: tools ## real clusters: endings, bad input, faults, the insecure stack
	@$(BESIDE) test-one-cluster test-own-runs
	$(MAKE) --no-print-directory test-other-runs test-alone

.PHONY: test-one-cluster
test-one-cluster: tools
	@$(KEY) $(CLUSTER_TESTS) $(REMEMBER) $(ONE_CLUSTER) $(LATER)

.PHONY: test-own-runs
test-own-runs: tools
	@$(KEY) $(CLUSTER_TESTS) $(REMEMBER) $(OWN_RUNS) 2>&1 |
	  $(WHOLE_LINES) "s/^/  beside: /" $(LATER)

.PHONY: test-other-runs
test-other-runs: tools
	@$(KEY) $(CLUSTER_TESTS) $(REMEMBER) $(OTHER_RUNS) $(LATER)

.PHONY: test-once-more
test-once-more: tools
	@$(KEY)
	again() { # WHERE COMMAND...: what failed there
	  local file=$(FAILED)/$$1/v/cache/lastfailed
	  [ ! -s $$file ] || [ "$$(cat $$file)" = "{}" ] || {
	    echo "$$1: failed beside others, and is run once more, alone:"; cat $$file
	    "$${@:2}" --last-failed -o cache_dir=$(FAILED)/$$1
	  }
	}
	export K8SSEC_REQUIRE_CLUSTER=1
	again test-fast $(BIN)/pytest $(FAST)
	again test-one-cluster $(BIN)/pytest $(ONE_CLUSTER)
	again test-own-runs $(BIN)/pytest $(OWN_RUNS)
	again test-other-runs $(BIN)/pytest $(OTHER_RUNS)
	again test-some-sabotages $(SABOTAGES) -k "$$(cat $(DRAWN))"

.PHONY: test-alone
test-alone: tools
	@$(CLUSTER_TESTS) $(KILLS)

.PHONY: test-sabotage
test-sabotage: tools ## each control intact, sabotaged and restored, on real clusters; the rest is `make matrix`
	@$(KEY) $(SABOTAGES) -k "not beside" --k8ssec-report build/sabotage

# The part of the matrix that `make test` runs: which one, chance decides, and says so.
.PHONY: test-some-sabotages
test-some-sabotages: tools
	@mkdir -p $(FAILED) && $(BIN)/python -m bench.draw $(PACKS_SEED) >$(DRAWN)
	$(KEY) $(SABOTAGES) $(REMEMBER) -k "$$(cat $(DRAWN))" --k8ssec-report build/sabotage $(LATER)

.PHONY: test-kills
test-kills: tools ## kill -9 at random moments beside things of the user's; KILLS=30 by default, SEED=123: those moments
	@K8SSEC_REQUIRE_CLUSTER=1 K8SSEC_KILLS=$(or $(KILLS),30) K8SSEC_KILLS_SEED=$(SEED) $(BIN)/pytest tests/cluster/test_kills.py

.PHONY: test-mutants
test-mutants: tools ## frozen copies under each sabotage of the configuration, beside clusters made by kind
	@K8SSEC_REQUIRE_CLUSTER=1 K8SSEC_MUTANTS=all $(BIN)/pytest tests/cluster/test_frozen_mutants.py

.PHONY: test-corpus
test-corpus: tools ## stacks as people have them, judged on a cluster each: build/corpus/verdicts.json; ONLY="a b": those stacks
	@$(BIN)/python -m bench.corpus $(if $(ONLY),--only $(ONLY))

.PHONY: test-shapes
test-shapes: tools ## the hardened stack on clusters of other shapes: build/shapes/verdicts.json; ONLY="a b": those shapes
	@$(BIN)/python -m bench.shapes $(if $(ONLY),--only $(ONLY))

.PHONY: test-kwok
test-kwok: tools ## 500 fake nodes and 5,000 fake pods beside two real nodes: time, memory, verdicts; NODES=100: so many, ten pods on each
	@K8SSEC_REQUIRE_CLUSTER=1 K8SSEC_KWOK_NODES=$(or $(NODES),500) $(BIN)/pytest -rP tests/cluster/test_kwok.py

.PHONY: test-scale
test-scale: tools ## the whole suite on 200 workloads and accounts in 100 namespaces; SCALE=60: so many workloads
	@K8SSEC_REQUIRE_CLUSTER=1 K8SSEC_SCALE=$(or $(SCALE),200) $(BIN)/pytest tests/cluster/test_scale.py

.PHONY: test-reach
test-reach: tools ## reachability of 300 pods on two nodes, one of each class and a sample of them measured
	@K8SSEC_REQUIRE_CLUSTER=1 K8SSEC_REACH_PODS=$(or $(PODS),300) $(BIN)/pytest tests/cluster/test_many_pods.py \
	  --k8ssec-kind-config tests/cluster/many-pods.yaml

.PHONY: test-engine
test-engine: venv ## what policies should give, 100,000 connections beside the specification; CELLS=1000: so many, SEED=123: those
	@K8SSEC_ENGINE_CELLS=$(or $(CELLS),100000) K8SSEC_ENGINE_SEED=$(or $(SEED),$$RANDOM) $(BIN)/pytest -rP tests/unit/facts/test_policy_cells.py

.PHONY: matrix
matrix: tools ## every sabotage on real clusters, as many at a time as can be told apart; K=etcd: those, one at a time
	@if [ -n "$(K)" ]; then $(KEY) $(MATRIX) -k "$(K)" --k8ssec-report build/matrix; exit; fi
	$(BESIDE) matrix-live matrix-own-clusters

# Each waits often: side by side they share what the machine has. Own clusters take half as long as the live packs, and so the
# second run has some of these too.
SECOND := live-pack-4 or live-pack-5 or policy-engine-stopped
MATRIX = $(CONTROLS) --k8ssec-sabotage --k8ssec-resume --k8ssec-stack stacks/hardened
PACKS = $(MATRIX) --k8ssec-packed --k8ssec-report build/$@

.PHONY: matrix-live
matrix-live: tools
	@$(KEY) $(PACKS) -m live_sabotage -k "not ($(SECOND))"

.PHONY: matrix-own-clusters
matrix-own-clusters: tools
	@$(KEY) $(PACKS) -k "own_cluster_sabotage or $(SECOND)" 2>&1 | $(WHOLE_LINES) "s/^/  beside: /"

.PHONY: bench-detection
bench-detection: tools ## other tools beside ours on broken clusters: docs/explanation/peers.md; ONLY="a b": those sabotages
	@$(KEY) $(BIN)/python -m bench detection $(if $(ONLY),--only $(ONLY))

.PHONY: bench-engine
bench-engine: venv ## what policies should give, cyclonus' matcher beside ours: docs/explanation/engine-bench.md
	@$(BIN)/python -m bench.engine $(if $(REPEATS),--repeats $(REPEATS))

.PHONY: bench-reachability
bench-reachability: tools ## cyclonus beside ours on the same pods: docs/explanation/reachability-bench.md; PODS="9 25": those sizes
	@$(BIN)/python -m bench.reachability $(if $(PODS),--pods $(PODS)) $(if $(REPEATS),--repeats $(REPEATS))

.PHONY: bench-speed
bench-speed: tools ## how long a run takes: docs/explanation/speed-bench.md; ONLY="clusters demos": those parts
	@$(BIN)/python -m bench.speed $(if $(ONLY),--only $(ONLY)) $(if $(REPEATS),--repeats $(REPEATS))

.PHONY: lint
lint: venv ## ruff, mypy, import-linter, documentation up to date
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

.PHONY: format
format: venv ## let ruff put everything into shape
	@$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

.PHONY: new-control
new-control: venv ## ID=family-slug: the file of a new control, and its place in the tests
	@$(BIN)/python -m scaffold "$(ID)"

.PHONY: docs
docs: venv ## what the documentation takes from the code: controls, options, fixtures, markers, commands
	@$(BIN)/python -m docs.generate

.PHONY: docs-site
docs-site: venv ## the documentation as a site, in build/site; a broken link or anything from elsewhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

.PHONY: default-kind
default-kind: tools ## all controls on a cluster that nobody hardened, twice: docs/explanation/default-kind.md
	@rm -rf $(PLAIN) && mkdir -p $(PLAIN) && echo '[pytest]' >$(PLAIN)/pytest.ini
	$(CONTROLS) -c $(PLAIN)/pytest.ini --k8ssec-report $(PLAIN)/bare --k8ssec-kind-config stacks/plain/kind.yaml || true
	$(CONTROLS) -c $(PLAIN)/pytest.ini --k8ssec-report $(PLAIN)/shop --k8ssec-stack stacks/plain \
	  --k8ssec-config 'plain:image={probe_image}' || true
	$(BIN)/python -m docs.default_kind $(PLAIN)/bare/report.json $(PLAIN)/shop/report.json

.PHONY: sweep
sweep: venv ## remove what killed runs left behind
	@$(BIN)/k8ssec sweep

.PHONY: clean
clean: ## remove what was built here; the tools' cache stays
	@rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
