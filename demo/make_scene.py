"""Builds demo/scene.blend: ten cameras with their photographs, as an artist would have them after solving the rig.

Runs inside Blender, or under a Python with the bpy module:  python demo/make_scene.py CAPTURE SCENE.blend
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[1]


def extension():
    """The repository root as a package, as Blender loads an extension."""
    spec = importlib.util.spec_from_file_location(
        "skullptor_extension", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> int:
    capture, scene_file = (Path(argument).resolve() for argument in arguments)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    extension().register()  # so that the scene can hold its settings
    from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras

    scene_cameras.build(bpy.context, capture)
    bpy.ops.wm.save_as_mainfile(filepath=str(scene_file), relative_remap=True, compress=True)
    print(f"Wrote {scene_file.name}: {len(bpy.data.cameras)} cameras with their photographs")
    return 0


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    code = main(given)
    sys.stdout.flush()
    os._exit(code)  # Blender 4.5 as a module may hang at interpreter exit
