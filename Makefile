# What can be done here: `make` lists it. CI, pre-commit and the image call these targets, and nothing else.

VENV   ?= .venv
PYTHON ?= python3 python3.11 python3.12 python3.13 python3.14
HOST   ?= 127.0.0.1
PORT   ?= 8080
# the last file that is fetched stands for all: they come together or not at all
LIBRARIES := dtr_app/site/vendor/fhirclient/fhir-client.js
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help serve test browser check conformance coverage mutate population engines bench image format new-policy dtr-app install verify clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## start the server on this machine with the policies of this folder
	@echo "CDS_CLIENT_AUTH=off: callers are not asked who they are, so only this machine is served."
	@CDS_CLIENT_AUTH=off exec $(VENV)/bin/cds-service serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev ## the whole suite, the policies' own cases included; what needs a browser is in make browser
	$(VENV)/bin/pytest -n auto -m "not browser"

browser: $(VENV)/.browser $(LIBRARIES) ## the app at /dtr/, in Chromium and alone (needs chromium, Node and npm)
	node --test dtr_app/tests/*.test.js
	$(VENV)/bin/pytest -n 2 -m browser tests/browser

check: $(VENV)/.dev ## format, lint, types, import layers, docs, plans
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/pytest -m docs
	$(VENV)/bin/cds-service check

conformance: $(VENV)/.dev ## CRD, CDS Hooks and the Inferno suites, statement by statement, with what became of each
	@$(VENV)/bin/python -m tests.conformance.report

coverage: $(VENV)/.dev ## the suite, with the lines and branches that no test takes
	$(VENV)/bin/pytest -n auto -m "not browser" --cov --cov-report=term-missing:skip-covered

mutate: $(VENV)/.dev ## change one thing at a time in the policies: some case must fail for each
	$(VENV)/bin/python -m mutate.run

engines: ## fetch the engines of CQL and FHIRPath that tests/population fills forms with (needs Node and npm)
	npm ci --prefix tests/population --no-audit --no-fund --ignore-scripts

population: $(VENV)/.dev ## write the CQL and ELM of the questionnaires from the plans (needs Java and Maven, once per release)
	$(VENV)/bin/python -m population.run

bench: ## what an answer costs, beside a server that answers with a constant; COMPILED=1: of the compiled core
ifdef COMPILED
	@$(MAKE) --no-print-directory install VENV=$(VENV)-compiled
	$(VENV)-compiled/bin/python bench/run.py
else
	@$(MAKE) --no-print-directory $(VENV)/.dev
	$(VENV)/bin/python bench/run.py
endif

format: $(VENV)/.dev ## put the code in the house's format
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

new-policy: $(VENV)/.runtime ## write the files of a new policy: make new-policy PAYER=acme POLICY=cpap DATE=2026-01-01
	$(VENV)/bin/cds-service new-policy $(PAYER) $(POLICY) $(DATE)

image: ## build the container image (needs a container daemon)
	docker build --tag cds-service .

dtr-app: $(LIBRARIES) ## fetch the libraries of the app at /dtr/ (once; needs Node and npm, which serving does not)

$(LIBRARIES): dtr_app/libraries.json dtr_app/fetch.mjs
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  echo "Node and npm are needed, once, to fetch two libraries. On Debian or Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	node dtr_app/fetch.mjs

install: ## install the service, its policies inside, into VENV; COMPILED=1: with the hot path as machine code
	@$(MAKE) --no-print-directory $(VENV)/bin/python
ifdef COMPILED
	@# in a copy: the compiler leaves its modules beside the sources, where they would hide them from then on
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	  cp -R cds_service dtr_app plans valuesets pyproject.toml README.md LICENSE NOTICE "$$copy" && \
	  HATCH_BUILD_HOOK_ENABLE_MYPYC=true $(PIP) install --force-reinstall "$$copy"
else
	$(PIP) install .
endif

verify: ## check the policies of the service installed in VENV (the image's second step)
	$(VENV)/bin/cds-service check

clean: ## remove the venv, the caches and what was fetched
	rm -rf $(VENV) dtr_app/site/vendor tests/browser/shots tests/population/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist build

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.browser: $(VENV)/.dev
	$(PIP) install --editable '.[dev,browser]'
	@touch $@

$(VENV)/bin/python:
	@found=; bare=; \
	for one in $(PYTHON); do \
	  "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  if "$$one" -c 'import ensurepip, venv' 2>/dev/null; then found=$$one; break; fi; \
	  bare=$${bare:-$$one}; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	  short=$$("$$bare" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	  echo "$$bare cannot make a virtual environment: its venv package is missing." >&2; \
	  echo "On Debian or Ubuntu: apt-get install $$short-venv" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
	  echo "No Python 3.11 or newer among: $(PYTHON)" >&2; \
	  echo "Install one (Debian 12: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV)
