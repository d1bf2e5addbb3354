# `make run` and `make test` are the two commands. Both need only make, Python 3.11 or newer and a package index: no root,
# no server. Each target that needs Python packages depends on `runtime` or `dev`, which cost nothing while the lock file
# is unchanged and wait for each other when two makes run at once.

VENV := .venv
BIN := $(VENV)/bin
SQL := build/migrations.sql

# A virtual environment of the caller's must not leak into ours.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help run demo test check check-long check-format check-lint check-types check-imports check-docs \
	check-migrations format docs bench lock clean runtime dev

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

run: runtime ## start NADIA on this machine, with its own PostgreSQL and Redis
	@$(BIN)/nadia up

demo: runtime ## play a scripted day on a temporary home and check that every count adds up
	@$(BIN)/nadia demo

test: dev ## run the tests, against real servers that they start themselves
	@$(BIN)/pytest

check: check-format check-lint check-types check-imports check-docs check-migrations ## everything but the tests

check-format: dev ## formatting
	@$(BIN)/ruff format --check

check-lint: dev ## lint rules
	@$(BIN)/ruff check

check-types: dev ## mypy, strict
	@$(BIN)/mypy

check-imports: dev ## imports go down only
	@NO_COLOR=1 $(BIN)/lint-imports --no-logo

check-docs: dev ## every setting, command and metric is documented, every link resolves
	@$(BIN)/pytest -q tests/unit/docs

check-migrations: dev ## squawk over the migrations' SQL
	@mkdir -p build
	@$(BIN)/nadia db sql > $(SQL)
	@$(BIN)/squawk $(SQL)

check-long: dev ## long seeds and soak runs
	@$(BIN)/pytest -m long

format: dev ## format and fix what can be fixed
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

docs: dev ## write the generated pages of docs/reference, .env.example and the dashboard again
	@$(BIN)/python docs/generate.py
	@$(BIN)/python monitoring/grafana/generate.py

bench: dev ## measure what the performance claims rest on
	@$(BIN)/python -m benchmarks

lock: ## resolve the dependencies again (needs uv)
	@sh scripts/lock.sh

clean: ## remove what make and the tools made; a NADIA home is left alone
	rm -rf $(VENV) $(VENV).lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

runtime:
	@sh scripts/environment.sh runtime

dev:
	@sh scripts/environment.sh dev
