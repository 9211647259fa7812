"""What all rings share: the repository root as a package, as Blender loads an extension, and a clean end under bpy."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

# before the first `import bpy`: the user's real preferences and extensions stay out
os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="skullptor_blender_user_")
# before the first `import numba`, which some tests do to see whether it is there: TBB, its own choice, waits for its
# threads at the end of the process, for ever on a busy machine
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_extension():
    name = "skullptor_extension"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


load_extension()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config._skullptor_rc = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    # bpy 4.2 and 4.5 crash or hang for ever at interpreter exit while a Python class is still registered
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(getattr(config, "_skullptor_rc", 1))
