# Kartoteka. Every target says what it is for; the default one lists them.
PYTHON ?= python3
VENV := .venv/bin
export IMAGE_TOOL TAG BASE WHEELS BAKE MODEL_NAME IMAGE_ARGS
.DEFAULT_GOAL := help
MINUTES ?= 3
SEED ?= 1
.PHONY: help run test test-model test-chart images images-stores test-images check lint bench bench-reindex ledger ledger-mutants e2e docs lock setup-run setup-test

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup-run ## Start the whole system here and index the samples; Ctrl-C stops it
	@exec $(VENV)/python -m kartoteka_local run

test: setup-test ## Run every check and every test, on real Kafka
	@$(MAKE) --no-print-directory lint
	@# The longest first: a file that begins last would be waited for alone.
	@$(VENV)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder -m "not planted and not chart_matrix and not images" tests/integration libs local services \
		$(filter-out tests/integration/,$(wildcard tests/*/))

test-model: setup-test ## Let everything happen to documents in any order, 2000 runs; find planted bugs
	@$(VENV)/python -m tests.model $(MODEL)
	@$(VENV)/pytest -q -n 2 -m planted tests/model

test-chart: setup-test ## Render the chart in every way to install it, with Helm 3 and Helm 4
	@$(VENV)/pytest -q -n 2 --dist loadfile tests/charts

images: ## Build the three images: IMAGE_TOOL=buildah|podman|docker, TAG=, BASE=, see images/build.sh
	@images/build.sh $(IMAGES)

images-stores: ## Build the stores' images for clusters that no registry serves
	@images/build.sh e2e-kafka e2e-qdrant e2e-object-storage

test-images: setup-test ## Check the built images: what is in them, how large, that they run
	@$(VENV)/pytest -q tests/images

check: setup-test ## Run the quick part: style, types, layers, unit tests
	@$(MAKE) --no-print-directory lint
	@$(VENV)/pytest -q -n 2 --dist loadfile -m "not integration and not planted and not chart_matrix and not images"

lint: ## Check style and types
	@$(VENV)/ruff check -q . && $(VENV)/ruff format --check -q .
	@# Each part by itself, as parts have modules of the same names; two at once, over one cache.
	@printf '%s\n' libs/* services/* local tests dashboards docs | xargs -P 2 -n 1 $(VENV)/mypy

bench: setup-test ## Measure the real stack beside its baselines
	@$(VENV)/uv pip install --quiet --python $(VENV)/python --no-deps --require-hashes -r requirements/bench.txt
	@$(VENV)/python -m tests.bench $(BENCH)

bench-reindex: setup-test ## Compare reindexing with LangChain's and LlamaIndex's, which it installs apart
	@$(VENV)/python -m tests.bench_reindex $(REINDEX)

ledger: setup-test ## Break everything while clients work, then prove that nothing was lost
	@$(VENV)/python -m tests.ledger --minutes $(MINUTES) --seed $(SEED) $(LEDGER)

ledger-mutants: setup-test ## Plant bugs, one at a time, and show that the ledger catches each
	@$(VENV)/python -m tests.ledger.mutants $(LEDGER)

e2e: setup-test ## Install on the cluster of the kubeconfig, use, break, upgrade and remove it; E2E=--help
	@$(VENV)/python -m tests.e2e $(E2E)

docs: setup-test ## Write what is generated from the code: schemas, docs/*.md
	@$(VENV)/python docs/generate.py

lock: setup-test ## Lock dependencies anew
	@requirements/lock.sh

setup-run:
	@$(PYTHON) local/setup_environment.py run

setup-test:
	@$(PYTHON) local/setup_environment.py test
