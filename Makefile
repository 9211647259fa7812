# make help lists the targets (a target's text follows its ##); plain make sets up what demo and tests need.
# Nothing else has to be installed by hand but Python 3.11 and make. BLENDER=/path/to/blender uses an installed Blender
# instead of the bpy module. On a machine with an NVIDIA GPU the bridge is set up for it.

PYTHON ?= python3.11
PYTHON := $(or $(shell command -v $(PYTHON) 2>/dev/null),python3)
BRIDGE := .venv/bin/python
BPY := .venv-blender/bin/python
BLENDER ?=
GPU := $(shell command -v nvidia-smi 2>/dev/null)
EXTRA := $(if $(GPU),cuda,bridge)
PIP_FLAGS := --quiet --disable-pip-version-check
export SKULLPTOR_BRIDGE_PYTHON := $(CURDIR)/$(BRIDGE)

.PHONY: setup help demo test test-slow reliability test-window pictures lint dist bench bench-gpu clean

setup: .venv/bridge.done $(if $(BLENDER),,.venv-blender/done) ## make the environments .venv (bridge) and .venv-blender (Blender as a module)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Each environment is made once; a changed pyproject.toml makes it again.
.venv/bridge.done: pyproject.toml
	@echo "Setting up the bridge in .venv (a minute or two) ..."
	@start=$$(date +%s); $(PYTHON) -m venv .venv && \
	$(BRIDGE) -m pip install $(PIP_FLAGS) -e '.[$(EXTRA)]' && \
	$(BRIDGE) -m bridge warm && touch $@ && echo "The bridge is ready after $$(( $$(date +%s) - start )) s."

.venv/dev.done: .venv/bridge.done
	@echo "Adding what the tests need (PyTorch for the slow twins) ..."
	@start=$$(date +%s); $(BRIDGE) -m pip install $(PIP_FLAGS) -e '.[$(EXTRA),train,dev]' && touch $@ && \
	echo "Done after $$(( $$(date +%s) - start )) s."

.venv-blender/done: pyproject.toml
	@echo "Setting up Blender 4.5 as a Python module in .venv-blender (about 400 MB) ..."
	@start=$$(date +%s); $(PYTHON) -m venv .venv-blender && \
	$(BPY) -m pip install $(PIP_FLAGS) -e '.[blender]' 'pytest>=8' && touch $@ && \
	echo "Blender is ready after $$(( $$(date +%s) - start )) s."

demo: setup ## reconstruct the demo head through the real add-on; look at demo/report.png
	@start=$$(date +%s); $(if $(BLENDER),BLENDER='$(BLENDER)') $(BRIDGE) demo/run.py && \
	echo "make demo took $$(( $$(date +%s) - start )) s. Look at demo/report.png."

test: .venv/dev.done .venv-blender/done ## the fast tests, of the bridge and in Blender's module
	@start=$$(date +%s); \
	$(BRIDGE) -m pytest -q tests/plain tests/bridge -m "not slow and not gpu and not window" && \
	$(BPY) -m pytest -q tests/blender -m "not slow and not gpu and not window" && \
	echo "make test took $$(( $$(date +%s) - start )) s."

test-slow: .venv/dev.done .venv-blender/done ## the slow ones: PyTorch twins, whole solves
	$(BRIDGE) -m pytest -q tests/plain tests/bridge -m "slow and not gpu"
	$(BPY) -m pytest -q tests/blender -m "slow and not gpu"

# See tests/reliability.
reliability: .venv/dev.done .venv-blender/done ## faults, fuzz and load, ten minutes; writes docs/lab/reliability.md
	SKULLPTOR_BLENDER_PYTHON='$(CURDIR)/$(BPY)' $(BRIDGE) -m pytest tests/reliability -m reliability

# See tests/window.
test-window: .venv/dev.done dist ## the built zip in a real Blender window, driven by mouse: BLENDER=/path/to/blender
	BLENDER='$(BLENDER)' $(BRIDGE) -m pytest tests/window -m window -s

pictures: .venv/dev.done dist ## the documentation's pictures of the window, made anew: BLENDER=/path/to/blender
	BLENDER='$(BLENDER)' WINDOW_PRESET=standard $(BRIDGE) -m pytest tests/window -m window -s -k from_a_capture
	$(BRIDGE) -m tests.window.pictures "$$(ls -td runs/window-*/head | head -1)"

lint: .venv/dev.done ## ruff (rules and format) and mypy
	$(BRIDGE) -m ruff check . && $(BRIDGE) -m ruff format --check . && $(BRIDGE) -m mypy

# What it leaves in dist is a folder that a studio can host as a repository.
dist: .venv-blender/done ## the extension's zip, checked, and an index beside it
	@mkdir -p dist; tool=$$(ls .venv-blender/lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py); \
	tags=$$(ls .venv-blender/lib/python*/site-packages/bpy/*/scripts/modules/_bpy_internal/extensions/tags.py); \
	$(BPY) $$tool validate --valid-tags $$tags . && $(BPY) $$tool build --source-dir . --output-dir dist && \
	$(BPY) $$tool server-generate --repo-dir dist && ls -l dist

bench: .venv/dev.done ## measure heads and networks: BENCH="NAME ..."
	$(BRIDGE) -m bench $(BENCH)

# On a machine with an NVIDIA card: the GPU tests, then times per kernel beside the device's floor, and a whole solve.
# BENCH="--reference DIR" adds the published remesher and, where it is installed, nvdiffrast.
bench-gpu: .venv/dev.done ## the GPU tests and times per kernel, on a machine with an NVIDIA card
	$(BRIDGE) -m pytest tests/gpu -m gpu -s && mkdir -p runs && $(BRIDGE) -m bench.gpu --json runs/gpu.json $(BENCH)

clean: ## remove the environments and all that was made
	rm -rf .venv .venv-blender runs dist demo/head.* demo/report.* demo/scene.blend
