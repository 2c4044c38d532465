# make demo   set up, run a small county through the hub, leave it open in the browser
# make test   set up, check style and types, run every test
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Each of the many processes that the tests start would compile the project anew.
export PYTHONDONTWRITEBYTECODE :=
WORKERS := -n $(shell echo $$(( $$(nproc) + 1 > 4 ? 4 : $$(nproc) + 1 ))) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test lint bench kill-campaign crash-campaign write-kills identity-campaign examples pages fuzz lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: ## set up, let three facilities' systems flow into a hub, show it (ARGS="--headless --people 200")
	@scripts/setup.sh run
	@.venv/bin/yitong demo $(ARGS)

test: ## set up, lint, check types, run all tests (ARGS="-k mllp" narrows them, WORKERS= uses one process)
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest $(WORKERS) $(ARGS)

lint: ## ruff and mypy (strict)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: ## the figures of benchmarks/README.md, into benchmarks/results/ (ARGS="--quick")
	@scripts/setup.sh test
	@$(PY) -m benchmarks $(ARGS)

kill-campaign: ## kill -9 the hub at random moments while a LIS, a HIS, an EMR and a PACS send (ARGS="--kills 1000 --seed 1")
	@scripts/setup.sh test
	@$(PY) -m tests.end_to_end.kill_campaign $(ARGS)

crash-campaign: ## power cuts under the store and kill -9 of its process, 1,000 each (ARGS="--trials 1000 --seed 1")
	@scripts/setup.sh test
	@$(PY) -m tests.end_to_end.crash_campaign $(ARGS)

write-kills: ## kill -9 the intake at each of its write and sync calls, by strace (ARGS="--every 8")
	@scripts/setup.sh test
	@$(PY) -m tests.end_to_end.write_kills $(ARGS)

identity-campaign: ## who is one person of a synthetic county: precision, recall, speed (ARGS="--people 25000 --only-rules")
	@scripts/setup.sh test
	@$(PY) -m benchmarks.identity_campaign $(ARGS)

examples: ## send every official R4 example to both stores
	@scripts/setup.sh test
	@YITONG_ALL_EXAMPLES=1 $(PY) -m pytest tests/hub/api/test_r4_examples.py

pages: ## look at every page in Chromium on a processor slowed six times; pictures into build/pages (SLOWER=6)
	@scripts/setup.sh test
	@mkdir -p build/pages
	@YITONG_SCREENSHOTS=build/pages YITONG_SLOWER=$(or $(SLOWER),6) $(PY) -m pytest --timeout 0 -m browser tests/hub/web

fuzz: ## ask what the OpenAPI document describes in many ways (EXAMPLES=200)
	@scripts/setup.sh test
	@YITONG_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(PY) -m pytest --timeout 0 tests/clients/test_schemathesis.py

lock: ## pin the versions anew, with hashes (needs pip-tools beside the project)
	@scripts/lock.sh

clean: ## remove what was built, installed or cached here
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build hub/web/static/vendor
