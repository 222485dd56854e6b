# Two commands do everything on a fresh machine with Python >= 3.11 and make: `make run` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
UV     := 0.13.9
BIN    := $(VENV)/bin

export GX_ANALYTICS_ENABLED=false
export MLFLOW_DISABLE_TELEMETRY=true
export DO_NOT_TRACK=true
export DAGSTER_DISABLE_TELEMETRY=1
export FEAST_USAGE=False
export TZ=UTC
unexport PYTHONDONTWRITEBYTECODE

# Other interpreters of `make test-pythons`, as names or paths; one that is not found is no success.
PYTHONS ?= python3.12 python3.13

PRODUCT_ARGUMENT = $(if $(PRODUCT),--product "$(PRODUCT)")
SOURCE_ARGUMENT  = $(if $(PLATFORM_SOURCE),--source "$(PLATFORM_SOURCE)")

.PHONY: run test test-slow test-all test-pythons smoke smoke-pythons mutants ui lint format bench bench-100m lock clean install dagster-home

run: install
	@$(BIN)/platform-assets run $(PRODUCT_ARGUMENT) $(SOURCE_ARGUMENT)

test: install
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow" $(ARGS)

test-slow: install
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m slow $(ARGS)

test-pythons:
	@$(PYTHON) tests/packaging/other_pythons.py $(PYTHONS)

# What another Python breaks first, in half a minute of CPU: loading, declarations, files, saved models.
smoke: install
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow" tests/declaration tests/lake tests/evidence tests/graph \
	  tests/packaging/test_public_surface.py tests/training/test_other_environment.py $(ARGS)

smoke-pythons:
	@$(PYTHON) tests/packaging/other_pythons.py --found-only --target smoke $(PYTHONS)

# Features of Dagster that we use although it may still change them: it said so sixty times at each start.
QUIET_BETA = ignore:Class `LocalFileCodeReference`,ignore:Class `CodeReferencesMetadataValue`,ignore:Parameter `backfill_policy`,ignore:Parameter `owners`,ignore:Parameter `allow_nonexistent_upstream_partitions`

ui: export PYTHONWARNINGS = $(QUIET_BETA)
ui: install
	@$(BIN)/python -m platform_assets.command_line.dagster_home
	@DAGSTER_HOME="$${PLATFORM_HOME:-$(CURDIR)/.platform}/dagster" $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $${PORT:-3000}

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: install
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

bench: install
	@$(BIN)/python benchmarks/feature_speed.py
	@$(BIN)/python benchmarks/offline_store.py
	@$(BIN)/python benchmarks/load_time.py
	@$(BIN)/python benchmarks/chain_overhead.py
	@$(BIN)/python benchmarks/second_run.py
	@$(BIN)/python benchmarks/new_day.py
	@$(BIN)/python benchmarks/contract_large_day.py
	@$(BIN)/python benchmarks/online_write.py
	@$(BIN)/python benchmarks/parity_cost.py
	@$(BIN)/python benchmarks/feature_scale.py
	@$(BIN)/python benchmarks/feature_new_day.py
	@$(BIN)/python benchmarks/hindsight.py

# 100 million payments: ten minutes or more, 8 GiB of memory and 25 GiB of disk below TMPDIR.
bench-100m: install
	@$(BIN)/python benchmarks/feature_scale.py --rows 1.75e6 100e6

mutants: install
	@$(BIN)/python tests/mutation/run_mutants.py $(ARGS)

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python >= 3.11 is needed, this is " + sys.version.split()[0] + "; say make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages (minutes on a first run) ..."
	@$(BIN)/python -m pip install -q uv==$(UV)
	@$(BIN)/uv pip sync -q --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	@$(BIN)/python -m pip install -q uv==$(UV)
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

lock:
	@$(BIN)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --extra dev pyproject.toml -o requirements.lock --no-annotate --no-header --generate-hashes -q

clean:
	rm -rf $(VENV) .venv-3.* .platform reports build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
