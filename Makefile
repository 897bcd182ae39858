# The two commands of the README: `make demo` and `make test`. CONTRIBUTING.md describes the others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip --quiet --disable-pip-version-check install
PYTEST := $(BIN)/python -m pytest -n logical --dist worksteal
# Else every test's programs, and pytest, would compile their modules anew.
unexport PYTHONDONTWRITEBYTECODE
NEWEST := .venv-newest

.PHONY: demo test quick slow lint lock newest base-images emulated faults faults-messages faults-rollouts faults-packets faults-points faults-calls faults-disk faults-blocks \
	faults-cloud faults-downloads faults-builds faults-clock faults-containers sabotage readme schemas install-check image trixie cgroups-v2 clean

# Anew where an earlier call was cut off: a Python without its pip is there before the rest.
$(VENV)/.made:
	@echo "Creating $(VENV), with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.sim: requirements/sim.txt pyproject.toml $(VENV)/.made
	@echo "Installing the $$(grep -c '==' $<) packages of $< in $(VENV): a minute or more, during which pip prints nothing"
	@$(PIP_INSTALL) --require-hashes --requirement $<
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.sim
	@echo "Installing the $$(grep -c '==' $<) packages of $< in $(VENV): a minute or more, during which pip prints nothing"
	@$(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

demo: $(VENV)/.sim
	@$(BIN)/edge-sim run examples/no-container-ml

test: $(VENV)/.dev
	@$(PYTEST) -m "not slow or sweep"

# The first tier: no processes, nothing long; workers would take a third more of the processor's time.
quick: $(VENV)/.dev
	@$(BIN)/python -m pytest tests/unit -m "not process and not slow"

# What takes long, and each sweep whole: cut, killed and failed at every point, compared with all inputs. It prints its counts.
slow: $(VENV)/.dev
	@EDGE_SIM_SWEEPS=whole $(PYTEST) -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house
	$(BIN)/python -m tests.collection

# Resolve the newest packages that pyproject.toml allows, for every supported Python at once.
LOCK = $(BIN)/uv --quiet pip compile --upgrade --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml --group build
lock: $(VENV)/.made
	@$(PIP_INSTALL) uv
	@$(LOCK) --extra sim --extra dev --output-file requirements/dev.txt
	@$(LOCK) --extra sim --constraint requirements/dev.txt --output-file requirements/sim.txt
	@$(LOCK) --extra sim --extra fleet --constraint requirements/dev.txt --output-file requirements/fleet.txt

# The newest packages instead of the locked ones: shows what is coming, and proves nothing about this change.
newest:
	@$(PYTHON) -m venv --clear $(NEWEST)
	@$(NEWEST)/bin/python -m pip --quiet --disable-pip-version-check install --upgrade pip
	@$(NEWEST)/bin/python -m pip --quiet --disable-pip-version-check install --editable ".[sim,dev]"
	@$(NEWEST)/bin/edge-sim profiles list
	@$(NEWEST)/bin/python -m pytest -n logical --dist worksteal tests/unit -m "not process and not slow"

# Boards in containers: needs root, a Docker engine and QEMU (.ci/engine installs and starts them).
base-images: $(VENV)/.sim
	@$(BIN)/python -m edge_sim.emulation.containers.baseimages

# Without a base of ours an image stands on a registry's; the last lines say which boards were run, and which were not.
emulated: $(VENV)/.dev
	-@$(BIN)/python -m edge_sim.emulation.containers.baseimages
	@$(BIN)/python -m pytest tests/emulated

# Fault tests, in parts that run alone; each prints what it counted and how long it took.
faults: faults-messages faults-rollouts faults-packets faults-points faults-calls faults-disk faults-blocks \
	faults-cloud faults-downloads faults-builds faults-clock faults-containers

faults-messages: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.histories 10000

faults-rollouts: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.rollouts 10000

# mosquitto's own sequences of packets, out of Debian's source package; needs apt and a Debian mirror.
faults-packets: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.sequences

# An update is cut off at every crash point.
faults-points: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.points

# One system call of an update is its last, or fails: 600 draws, one at each place at least (needs strace).
faults-calls: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.calls

# A board on a disk of its own: power cuts, read-only, full (needs root).
faults-disk: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.disk

# Every block write of an update, replayed in order and with losses (needs root, and qemu-storage-daemon of qemu-utils and
# qemu-system-common).
faults-blocks: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.blocks

# Broker and cloud are killed at each point of each update, and come back.
faults-cloud: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.cloud

# A server answers wrongly, in every way we know.
faults-downloads: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.downloads

# Builds that die, hang, eat, fork and leave things behind.
faults-builds: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.builds

# The agent's clocks jump at each point of each update.
faults-clock: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.clock

# Boards of armv7l are killed and restarted at crash points (needs root, Docker and QEMU).
faults-containers: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.containers

# Deliberate mistakes, each of which a named test has to notice; the last line counts them.
sabotage: $(VENV)/.dev
	@$(BIN)/python -m tests.faults.sabotage

# The README's commands, called as it shows them: the last line says how many did what it says.
readme: $(VENV)/.dev
	@$(BIN)/python -m tests.documentation

# Every slip in a sample of each format, against its schema and its reader; the last lines count them.
schemas: $(VENV)/.dev
	@$(BIN)/python -m tests.schema_cases

# The wheel in fresh places, by pip --user, pip --target, pipx and uvx; asks PyPI for what it stands on.
install-check: $(VENV)/.dev
	@$(BIN)/python -m tests.install

# The image of the cloud and command line, without a registry: needs root, Docker and mmdebstrap (.ci/engine).
image: $(VENV)/.sim
	@$(BIN)/python -m tests.image

# make test on Debian 13's Python, in a root directory that is removed afterwards: needs root, mmdebstrap and a Debian mirror.
trixie:
	@.ci/trixie make test

cgroups-v2:
	@.ci/cgroups-v2

clean:
	rm -rf $(VENV) $(NEWEST) .pytest_cache .mypy_cache .ruff_cache
