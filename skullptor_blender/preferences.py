"""Facts of this machine: the bridge's interpreter, the cache folder, the doctor's read-out."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
from bpy.props import StringProperty

from .. import __package__ as base_package
from . import session, worker

ROOT = Path(__file__).resolve().parents[1]


class SKULLPTOR_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = base_package

    __annotations__ = {
        "bridge_python": StringProperty(
            name="Bridge Python",
            description="The Python of the solver's own environment. Leave it empty to have it found: a .venv in the"
            " repository, or the environment set up by this add-on",
            subtype="FILE_PATH",
        ),
        "cache_folder": StringProperty(
            name="Cache Folder",
            description="Where photographs, meshes and reports of the runs are kept. Leave it empty for the add-on's"
            " own folder",
            subtype="DIR_PATH",
        ),
    }

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(self, "bridge_python")
        column.prop(self, "cache_folder")
        try:
            layout.label(text=f"Bridge: {interpreter(context)}", icon="CHECKMARK")
        except worker.WorkerError as error:
            warning = layout.column()
            warning.alert = True
            warning.label(text=error.sentence, icon="ERROR")
            layout.label(text=error.cure)
        row = layout.row()
        row.operator("skullptor.doctor")
        row.operator("skullptor.copy_doctor", icon="COPYDOWN")
        if session.doctor_text:
            box = layout.box().column(align=True)
            for line in session.doctor_text.splitlines()[:60]:
                box.label(text=line)


def get(context: bpy.types.Context) -> SKULLPTOR_AP_preferences | None:
    """The preferences; None when the package was loaded by a script instead of enabled."""
    addon = context.preferences.addons.get(base_package)
    return addon.preferences if addon else None


def user_folder() -> Path:
    """The extension's own folder, which survives updates; outside the extension system one beside it."""
    try:
        return Path(bpy.utils.extension_path_user(base_package))
    except ValueError:
        return Path(bpy.utils.resource_path("USER")) / "skullptor"


def interpreter(context: bpy.types.Context, given: str = "") -> Path:
    """The bridge's Python. Raises WorkerError."""
    preferences = get(context)
    preferred = given or (preferences.bridge_python if preferences else "")
    return worker.find_interpreter(bpy.path.abspath(preferred) if preferred else "", ROOT, user_folder())


def cache_folder(context: bpy.types.Context) -> Path:
    """Where runs are kept."""
    preferences = get(context)
    if preferences and preferences.cache_folder:
        return Path(bpy.path.abspath(preferences.cache_folder))
    if given := os.environ.get("SKULLPTOR_RUNS"):
        return Path(given)
    return user_folder() / "runs"


def register() -> None:
    bpy.utils.register_class(SKULLPTOR_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(SKULLPTOR_AP_preferences)
