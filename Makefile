# Two commands do all their own set-up: `make demo` and `make test`. The rest is for contributors.
.DEFAULT_GOAL := help
BIN := .venv/bin
GOLDEN := tests/test_cases.py tests/unit/test_render_golden.py

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: setup
setup: ## Python packages in .venv, the servers in the cache; does nothing the second time
	@scripts/setup

.PHONY: demo
demo: setup ## The main job, from YAML to applied to drift, on real servers
	@scripts/demo.sh

# worksteal: neighbours share what one of them has made. pytest compiles the package of a plugin anew wherever it may
# not write down what came of it.
.PHONY: test
test: setup ## Everything, on real servers, three workers with servers of their own
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 3 --dist worksteal

.PHONY: versions
versions: setup ## All that is about PostgreSQL, on every version there are servers of: 18, 16, Debian's 15
	@scripts/older_postgres
	@RECONCILE_TEST_POSTGRES="18 16 15" $(BIN)/pytest -n 2 tests/test_cases.py tests/stores/postgres -k "not neo4j and not qdrant"

.PHONY: unit
unit: setup ## What needs no server
	@$(BIN)/pytest -q tests/unit tests/test_layers.py

.PHONY: golden
golden: setup ## Rewrite the golden plans; look at the diff
	@RECONCILE_GOLDEN=write $(BIN)/pytest -q $(GOLDEN)
	@git --no-pager diff --stat -- tests

.PHONY: check
check: setup ## Format, lint, types, generated documentation
	@scripts/check

.PHONY: clean
clean: ## Stop the sandbox of this folder; remove what the other commands made here (the cache stays)
	@if [ -x $(BIN)/reconcile ]; then $(BIN)/reconcile sandbox down --delete; fi
	@rm -rf .venv .reconcile .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
