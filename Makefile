# The two commands of the README: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint base-images emulated clean

# Anew where an earlier call was cut off: a Python without its pip is there before the rest.
$(VENV)/.made:
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.sim: pyproject.toml $(VENV)/.made
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[sim]"
	@touch $@

$(VENV)/.dev: $(VENV)/.sim
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[sim,dev]"
	@touch $@

demo: $(VENV)/.sim
	@$(BIN)/edge-sim run examples/no-container-ml

test: $(VENV)/.dev
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Boards in containers: needs root, a Docker engine and QEMU (.ci/engine installs and starts them).
base-images: $(VENV)/.sim
	@$(BIN)/python -m edge_sim.emulation.containers.baseimages

# Without a base of ours an image stands on a registry's; the last lines say which boards were run, and which were not.
emulated: $(VENV)/.dev
	-@$(BIN)/python -m edge_sim.emulation.containers.baseimages
	@$(BIN)/python -m pytest tests/emulated

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
