# The commands for developers. `make` without a target lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.installed
LOCK := requirements-dev.txt

# Use the first suitable interpreter: 3.13, else 3.12, on PATH or installed by pyenv. PYTHON_BIN=... names another.
define make_venv
fits() { "$$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }; \
if ! fits $(PYTHON); then \
	for candidate in $${PYTHON_BIN:-} \
		python3.13 $$(ls -d $${PYENV_ROOT:-$${HOME:-}/.pyenv}/versions/3.13*/bin/python3.13 2>/dev/null || true) \
		python3.12 $$(ls -d $${PYENV_ROOT:-$${HOME:-}/.pyenv}/versions/3.12*/bin/python3.12 2>/dev/null || true) \
		python3; do \
		if fits "$$candidate"; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
		echo "Countinghouse needs Python 3.13 or 3.12 with venv. None was found on PATH or in pyenv; python3 is $$(python3 --version 2>&1 || echo missing). Install one (for example: pyenv install 3.13), or set PYTHON_BIN=/path/to/python3.13." >&2; \
		exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV) || { echo "$(CURDIR)/$(VENV) can't be written. Remove it, or run make as its owner." >&2; exit 1; }; \
fi
endef

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Installs again only if the lock changed. A virtual environment whose interpreter is gone is created again.
$(READY): $(LOCK)
	@$(make_venv); \
	if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then $(PYTHON) -m ensurepip -q; fi; \
	echo "Installing the packages in $(LOCK) (once)"; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK); \
	touch $(READY)

.PHONY: setup
setup: ## Create .venv and install the locked packages
	@if [ -e $(READY) ] && ! $(PYTHON) -c '' 2>/dev/null; then rm -f $(READY); fi
	@$(MAKE) --silent --no-print-directory $(READY)

.PHONY: demo
demo: setup ## Start everything, create a demo company, send its usage, bill it, keep serving (ONCE=1: stop instead)
	@$(PYTHON) manage.py demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: serve
serve: setup ## Run web, worker and beat on PORT (8000), without demo data
	@$(PYTHON) manage.py serve

# One process per core, at most four: each has its own PostgreSQL database.
.PHONY: test
test: setup ## Run every test (ARGS="-k name")
	@$(PYTHON) -m pytest -n auto --maxprocesses 4 $(ARGS)

.PHONY: lint
lint: setup ## Check style, templates, types, layers, migrations and wording
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/djlint --lint --quiet templates
	@$(PYTHON) -m mypy .
	@$(VENV)/bin/lint-imports
	@$(PYTHON) manage.py makemigrations --check --dry-run
	@$(PYTHON) -m tests.words

.PHONY: examples
examples: setup ## Record the schema's examples of responses and webhooks from real ones
	@WRITE_EXAMPLES=1 $(PYTHON) -m pytest -q tests/scenarios/test_examples.py

.PHONY: bench
bench: setup ## Measure speed (ONLY=name for one figure)
	@$(PYTHON) -m tests.bench $(if $(ONLY),--only $(ONLY))

.PHONY: conformance
conformance: setup ## Check the product against golden vectors (VECTORS=dir)
	@$(PYTHON) manage.py conformance "$(VECTORS)"

.PHONY: lock
lock: setup ## Resolve the dependencies of pyproject.toml again
	@set -- --quiet --no-emit-index-url --no-emit-find-links --generate-hashes --universal --python-version 3.12; \
	$(PYTHON) -m uv pip compile "$$@" --upgrade pyproject.toml -o requirements.txt; \
	$(PYTHON) -m uv pip compile "$$@" --upgrade -c requirements.txt --extra dev pyproject.toml -o requirements-dev.txt

.PHONY: clean
clean: ## Remove .venv, the data in DATA_DIR (.data) and caches
	@rm -rf $(VENV) $${DATA_DIR:-.data} .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
