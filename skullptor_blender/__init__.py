"""The Blender side: an ordered list of modules, registered in order and unregistered in reverse."""

from __future__ import annotations

import importlib
import types

# properties before what reads them, operators before the panel that shows them
MODULES = (
    "ui.properties",
    "ui.preferences",
    "operators.reconstruct",
    "operators.doctor",
    "operators.setup",
    "operators.result",
    "operators.report",
    "operators.wrap",
    "operators.template_extras",
    "operators.sculpt",
    "operators.refined_cameras",
    "operators.predictions",
    "operators.import_cameras",
    "operators.performance",
    "operators.solve_performance",
    "operators.photographs",
    "operators.photo_to_head",
    "operators.check",
    "operators.scale",
    "operators.texture",
    "operators.rigs",
    "ui.preset_files",
    "ui.panels",
    "batch",
)


def _modules() -> list[types.ModuleType]:
    # imported on demand, so that the pure modules load without bpy
    return [importlib.import_module(f".{name}", __package__) for name in MODULES]


def register() -> None:
    for module in _modules():
        module.register()


def unregister() -> None:
    for module in reversed(_modules()):
        module.unregister()
