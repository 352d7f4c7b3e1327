# The project's vocabulary: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
EXTRAS := .venv-extras
PRESETS := $(notdir $(basename $(wildcard params/*.yaml)))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# One thread per process: independent stages and tests run side by side instead.
export OMP_NUM_THREADS ?= 1
export DVC_NO_ANALYTICS := true

.DEFAULT_GOAL := help
.PHONY: help setup study report compare publish crate test quick test-extras chaos bench gpu-check bench-recipe bench-cost bench-scale bench-portability bench-external bench-prompts check format preset lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv from requirements.lock (what the others need, done once)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found %d.%d: make PYTHON=python3.12 …" % sys.version_info[:2])'
	@git rev-parse --git-dir > /dev/null || { echo "this must be a git checkout: use git clone"; exit 1; }
	@echo "setting up .venv from requirements.lock: once, a few minutes, about 2 GB"
	@$(PYTHON) -m venv $(VENV)
	@python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "environment ready"

study: $(READY) ## run what is missing or changed, up to the report (JOBS=N at a time; EXECUTOR=ray ADDRESS=… on a cluster)
	@python -m induction.runner $(if $(JOBS),--jobs $(JOBS)) $(if $(EXECUTOR),--executor "$(EXECUTOR)") $(if $(ADDRESS),--address "$(ADDRESS)")

report: $(READY) ## render the report alone, from the results there are
	@python -m induction.stages.report

compare: $(READY) ## what differs between two runs: make compare A=published B=workspace
	@[[ -n "$(A)" ]] || { echo "say what to compare: make compare A=RUN [B=RUN], RUN being a git revision, an experiment, workspace or published"; exit 1; }
	@python -m induction.compare "$(A)" "$(or $(B),workspace)"

publish: $(READY) ## keep the small results of this run in git: make publish NAME=laptop
	@python -m induction.compare.publish "$(NAME)"

crate: $(READY) ## the last run as an RO-Crate for archives and indexes, in reports/_crate
	@python -m induction.crate

test: $(READY) ## run the tests, a file at a time on each core (JOBS=N workers)
	@python -m pytest --numprocesses $(or $(JOBS),auto) --dist loadfile

quick: $(READY) ## the tests that take no more than a moment each (a minute in all)
	@python -m pytest --numprocesses $(or $(JOBS),auto) --dist loadfile tests/unit

test-extras: $(EXTRAS)/.ready ## tests that need TransformerLens, Ray, an S3 server or a real model (93 MB), in an environment of their own
	@INDUCTION_REAL_MODEL=1 $(EXTRAS)/bin/python -m pytest tests/integration/test_smollm2.py tests/unit/test_transformer_lens.py tests/unit/test_external_lens.py tests/integration/test_remote.py tests/unit/test_hub.py tests/integration/test_ray.py

$(EXTRAS)/.ready: requirements-extras.lock pyproject.toml
	@echo "setting up $(EXTRAS) from requirements-extras.lock: once, a few minutes, about 2 GB"
	@$(PYTHON) -m venv $(EXTRAS)
	@$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-extras.lock
	@$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: $(READY) ## lint, types, known vulnerabilities (where pip-audit is installed), and whether the pipeline holds together
	@ruff check
	@ruff format --check
	@pyright
	@! python -m pip show --quiet pip-audit 2> /dev/null || python -m pip_audit --requirement requirements.lock --no-deps --disable-pip
	@mkdir -p .scratch
	@dvc repro --dry --allow-missing > .scratch/dry.log 2>&1 || \
		{ grep -q "No such file or directory: .*/data/" .scratch/dry.log || { cat .scratch/dry.log; exit 1; }; }
	@! grep -q "^Running stage" .scratch/dry.log || \
		echo "note: dvc.lock is behind the code or the parameters: run make study and commit it"

chaos: $(READY) ## kill, damage and fill a small study in many ways: it must come out the same
	@python -m tests.chaos

bench: $(READY) ## our speed beside that of others, in turns (ten minutes; DEVICE=cuda for a GPU's)
	@python benchmarks/$(if $(filter cuda,$(DEVICE)),gpu_speed,speed).py

gpu-check: $(READY) ## everything that only a GPU can show, in eight minutes (benchmarks/gpu.json)
	@python benchmarks/gpu_check.py

bench-recipe: $(READY) ## which training recipe brings the phase change earliest (a quarter of an hour)
	@python benchmarks/recipe.py

bench-cost: $(READY) ## what the presets and the paper's full series cost, by arithmetic (a second)
	@python benchmarks/cost.py

bench-scale: $(READY) ## how memory, time and disk grow with the work (about five minutes)
	@python benchmarks/scale.py

bench-portability: $(READY) ## how far headline numbers move on another kind of processor (ten minutes)
	@python benchmarks/portability.py

bench-external: $(READY) ## whether models in the formats of others show their phase change (an hour)
	@python benchmarks/external.py

bench-prompts: $(READY) ## which forms of prompts a small language model carries (eight minutes)
	@python benchmarks/prompt_forms.py

format: $(READY) ## rewrite the code in the house style
	@ruff check --fix --quiet
	@ruff format --quiet

preset: ## replace params.yaml by a preset: make preset NAME=smoke
	@[[ " $(PRESETS) " == *" $(NAME) "* ]] || { echo "no preset '$(NAME)': NAME is one of" $(PRESETS); exit 1; }
	@git diff --quiet HEAD -- params.yaml || sha256sum params/*.yaml | grep -q "^$$(sha256sum < params.yaml | cut -d' ' -f1)" || { \
		echo "params.yaml has changes of yours: commit them, or drop them: git checkout params.yaml"; \
		exit 1; }
	@cp params/$(NAME).yaml params.yaml
	@echo "params.yaml is now the preset $(NAME); back with: git checkout HEAD params.yaml && make study"

lock: $(READY) ## renew both locks from pyproject.toml (settings in [tool.uv.pip])
	@python -m pip install --quiet uv
	@uv pip compile --quiet pyproject.toml --output-file requirements.lock
	@uv pip compile --quiet pyproject.toml --extra dev --extra s3 --extra hub --extra ray --extra extras --constraint requirements.lock --output-file requirements-extras.lock

clean: ## delete scratch files (outputs and the DVC cache stay)
	rm -rf .scratch .pytest_cache .ruff_cache .hypothesis
