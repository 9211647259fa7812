# make demo   reconstruct the demo head through the real add-on; look at demo/report.png
# make test   the fast tests
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

.PHONY: demo test test-slow reliability test-window pictures lint dist bench bench-gpu clean setup

setup: .venv/bridge.done $(if $(BLENDER),,.venv-blender/done)

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

demo: setup
	@start=$$(date +%s); $(if $(BLENDER),BLENDER='$(BLENDER)') $(BRIDGE) demo/run.py && \
	echo "make demo took $$(( $$(date +%s) - start )) s. Look at demo/report.png."

test: .venv/dev.done .venv-blender/done
	@start=$$(date +%s); \
	$(BRIDGE) -m pytest -q tests/plain tests/bridge -m "not slow and not gpu and not window" && \
	$(BPY) -m pytest -q tests/blender -m "not slow and not gpu and not window" && \
	echo "make test took $$(( $$(date +%s) - start )) s."

test-slow: .venv/dev.done .venv-blender/done
	$(BRIDGE) -m pytest -q tests/plain tests/bridge -m "slow and not gpu"
	$(BPY) -m pytest -q tests/blender -m "slow and not gpu"

# Faults, fuzz and load, about ten minutes; writes docs/lab/reliability.md.
reliability: .venv/dev.done
	$(BRIDGE) -m pytest tests/reliability -m reliability

# The built zip in a real Blender window, driven by mouse. BLENDER=/path/to/blender; see tests/window.
test-window: .venv/dev.done dist
	BLENDER='$(BLENDER)' $(BRIDGE) -m pytest tests/window -m window -s

# The README's pictures of the window, made anew.
pictures: .venv/dev.done dist
	BLENDER='$(BLENDER)' WINDOW_PRESET=standard $(BRIDGE) -m pytest tests/window -m window -s -k from_a_capture
	$(BRIDGE) -m tests.window.pictures "$$(ls -td runs/window-*/head | head -1)"

lint: .venv/dev.done
	$(BRIDGE) -m ruff check . && $(BRIDGE) -m ruff format --check .

# The extension's zip, checked, and an index beside it: a folder that a studio can host as a repository.
dist: .venv-blender/done
	@mkdir -p dist; tool=$$(ls .venv-blender/lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py); \
	tags=$$(ls .venv-blender/lib/python*/site-packages/bpy/*/scripts/modules/_bpy_internal/extensions/tags.py); \
	$(BPY) $$tool validate --valid-tags $$tags . && $(BPY) $$tool build --source-dir . --output-dir dist && \
	$(BPY) $$tool server-generate --repo-dir dist && ls -l dist

bench: .venv/dev.done
	$(BRIDGE) -m bench $(BENCH)

# On a machine with an NVIDIA card: the GPU tests, then times per kernel beside the device's floor, and a whole solve.
# BENCH="--reference DIR" adds the published remesher and, where it is installed, nvdiffrast.
bench-gpu: .venv/dev.done
	$(BRIDGE) -m pytest tests/gpu -m gpu -s && mkdir -p runs && $(BRIDGE) -m bench.gpu --json runs/gpu.json $(BENCH)

clean:
	rm -rf .venv .venv-blender runs dist demo/head.* demo/report.* demo/scene.blend
