# Everything installs into .venv, tools included, and nothing is written outside this folder.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dev logs sam-local invoke-all test test-long test-local test-sam check lint audit format openapi build deploy bench cost peers performance load recall documents clean

PORT ?= 8080
ENV ?= default

export UV_CACHE_DIR ?= $(CURDIR)/.venv/cache
export UV_PYTHON_INSTALL_DIR ?= $(CURDIR)/.venv/python
export TMPDIR := $(CURDIR)/.venv/tmp
export SAM_CLI_TELEMETRY := 0
# Compiled modules are kept: without them each process compiles all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

UV := .venv/bootstrap/bin/uv
PYTHON := .venv/bin/python
SAM_READY := .venv/sam/ready
STACK_READY := .venv/stack/ready
AUDIT_READY := .venv/audit/ready
PEERS_READY := .venv/peers/ready

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/ready $(SAM_READY) $(STACK_READY) ## start everything, answer one mail with a real model, stop
	@$(PYTHON) -m local demo

dev: .venv/ready $(SAM_READY) $(STACK_READY) ## run the whole API on this machine, on PORT (8080), until Ctrl-C
	@exec $(PYTHON) -m local dev --port $(PORT)

logs: .venv/ready ## follow the logs of the running `make dev`
	@exec $(PYTHON) -m local logs --port $(PORT)

sam-local: .venv/ready $(SAM_READY) $(STACK_READY) ## run the API in Lambda's containers (Docker), on PORT (3000), until Ctrl-C
	@exec $(PYTHON) -m local sam-local $(if $(filter-out file,$(origin PORT)),--port $(PORT))

invoke-all: .venv/ready $(SAM_READY) $(STACK_READY) ## invoke each function with its sample event in Lambda's container (Docker)
	@$(PYTHON) -m local invoke-all

test: .venv/ready $(STACK_READY) ## run the tests that need no stack (moto, a real small model), in some four minutes
	@$(PYTHON) -m pytest -m "not long" -n auto --dist worksteal

test-long: .venv/ready ## run the long forms: all seeds, all hostile inputs, the walk over all grants
	@$(PYTHON) -m pytest -m long -n auto --dist worksteal

test-local: .venv/ready $(SAM_READY) $(STACK_READY) ## run the tests that drive the embedded stack over HTTP
	@$(PYTHON) -m pytest tests/stack/embedded

test-sam: .venv/ready $(SAM_READY) $(STACK_READY) ## run the tests of `make sam-local` (Docker)
	@$(PYTHON) -m pytest tests/stack/sam

check: lint audit test test-long test-local test-sam invoke-all ## what CI runs: lint, audit, all tests (the last two need Docker)

lint: .venv/ready $(SAM_READY) ## ruff, mypy, prose, the lock, the layers' requirements and SBOMs, openapi.yaml, the template
	@echo "ruff" && .venv/bin/ruff check && .venv/bin/ruff format --check --quiet
	@echo "mypy" && .venv/bin/mypy
	@echo "prose" && $(PYTHON) -m audit.prose
	@echo "uv.lock" && .venv/bin/uv lock --check --quiet
	@echo "layers/*/requirements.txt" && $(REQUIREMENTS) | diff layers/core/requirements.txt -
	@for group in $(LAYER_GROUPS); do $(REQUIREMENTS) --only-group $$group | diff layers/$$group/requirements.txt - || exit 1; done
	@$(REQUIREMENTS) --only-group bootstrap | diff local/uv.txt -
	@echo "layers/*/sbom.cdx.json" && $(SBOM) | diff layers/core/sbom.cdx.json -
	@for group in $(LAYER_GROUPS); do $(SBOM) $$group | diff layers/$$group/sbom.cdx.json - || exit 1; done
	@echo "openapi.yaml" && $(PYTHON) -m openapi --check
	@echo "template.yaml" && AWS_DEFAULT_REGION=us-east-1 .venv/sam/bin/sam validate --lint

audit: .venv/ready $(AUDIT_READY) ## cfn-lint, checkov, bandit and zizmor, and that each of them bites
	@$(PYTHON) -m audit
	@$(PYTHON) -m pytest -q tests/audit

format: .venv/ready ## format and fix what can be fixed; renew the layers' requirements and SBOMs
	@.venv/bin/ruff check --fix-only --quiet && .venv/bin/ruff format
	@$(REQUIREMENTS) > layers/core/requirements.txt
	@for group in $(LAYER_GROUPS); do $(REQUIREMENTS) --only-group $$group > layers/$$group/requirements.txt; done
	@$(REQUIREMENTS) --only-group bootstrap > local/uv.txt
	@$(SBOM) > layers/core/sbom.cdx.json
	@for group in $(LAYER_GROUPS); do $(SBOM) $$group > layers/$$group/sbom.cdx.json; done

openapi: .venv/ready ## write openapi.yaml from the models in openapi/
	@$(PYTHON) -m openapi

build: .venv/ready $(SAM_READY) ## build the functions and the layer into .aws-sam
	@$(PYTHON) -m local build

deploy: .venv/ready $(SAM_READY) ## deploy to your AWS account (ENV=prod, ARCH=arm64, PARAMETERS="Name=value …")
	@$(PYTHON) -m deploy --env "$(ENV)" --architecture "$(ARCH)" --parameters "$(PARAMETERS)" $(if $(YES),--yes)

bench: .venv/ready build ## cold starts, CPU and AWS calls per request, as ratios
	@$(PYTHON) -m bench

performance: .venv/ready $(SAM_READY) $(STACK_READY) build ## all figures with bars, into docs/performance.md (root, valgrind; half an hour)
	@$(PYTHON) -m bench.performance

cost: .venv/ready ## the dollars of a million texts, beside what stands instead
	@$(PYTHON) -m bench.cost

peers: .venv/ready $(SAM_READY) $(STACK_READY) $(PEERS_READY) ## queues that teams build, on this machine (redis-server, postgres)
	@$(PYTHON) -m bench.peers

load: .venv/ready ## simulate 1 to 1,000 submissions a second for an hour; rewrite docs/scale.md
	@$(PYTHON) -m bench.load

recall: .venv/ready ## how often lexical ranking finds the passages that answer a question
	@$(PYTHON) -m bench.recall

documents: .venv/ready ## the share of real documents that are read, from the fixtures of well-known libraries
	@$(PYTHON) -m bench.documents

clean: ## remove all that was installed, built or logged
	rm -rf .venv .aws-sam .local

# Each of these groups of pyproject.toml is a layer.
LAYER_GROUPS := documents languages ranking validation

# With the hash of each file that a build may install, for every platform.
REQUIREMENTS = .venv/bin/uv export --frozen --no-default-groups --no-emit-project --no-header --quiet
SBOM = $(PYTHON) -m audit.sbom

# --- the environments: ours, sam's and the embedded stack's, each as uv.lock has it ---------------

$(UV): local/uv.txt
	@echo "installing uv into .venv"
	@mkdir -p $(TMPDIR)
	@PIP_ROOT_USER_ACTION=ignore python3 -m pip install -qq --disable-pip-version-check \
		--no-cache-dir --upgrade --target .venv/bootstrap --require-hashes --only-binary :all: -r local/uv.txt \
		|| { echo "python3 -m pip could not install uv: afterword needs python3 with pip, and network" >&2; exit 1; }

.venv/pyvenv.cfg: | $(UV)
	@$(UV) venv --quiet --python 3.13 --allow-existing .venv 2> .venv/error \
		|| { echo "Python 3.13 is neither on this machine nor could uv download it (see .venv/error): install it and try again" >&2; exit 1; }

.venv/ready: pyproject.toml uv.lock | .venv/pyvenv.cfg
	@echo "installing afterword and its tools into .venv"
	@$(UV) sync --frozen --quiet
	@touch $@

$(SAM_READY): uv.lock | .venv/ready
	@echo "installing sam into .venv/sam"
	@UV_PROJECT_ENVIRONMENT=.venv/sam $(UV) sync --frozen --quiet --only-group sam --python $(PYTHON)
	@touch $@

$(STACK_READY): uv.lock | .venv/ready
	@echo "installing the embedded stack and a small model (200 MB) into .venv/stack"
	@UV_PROJECT_ENVIRONMENT=.venv/stack $(UV) sync --frozen --quiet --only-group stack --python $(PYTHON)
	@touch $@

$(PEERS_READY): bench/peers/uv.lock | .venv/ready
	@echo "installing arq, Celery and procrastinate into .venv/peers"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv/peers $(UV) sync --frozen --quiet --project bench/peers --python $(PYTHON)
	@touch $@

$(AUDIT_READY): audit/uv.lock | .venv/ready
	@echo "installing what audits (350 MB) into .venv/audit"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv/audit $(UV) sync --frozen --quiet --project audit --python $(PYTHON)
	@touch $@
