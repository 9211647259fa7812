"""Facts of this machine: the bridge's environment and its set-up, the cache folder, the doctor's read-out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ... import __package__ as base_package
from ..link import environment, session, worker
from .text import duration

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    ("auto", "Automatic", "The NVIDIA packages where there is an NVIDIA card, else those for the processor"),
    ("bridge", "Processor", "About 0.9 GB; works on every machine"),
    ("cuda", "NVIDIA GPU", "About 4.5 GB; needs an NVIDIA card with a driver for CUDA 12 (525 or newer)"),
)


class SKULLPTOR_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = base_package

    __annotations__ = {
        "bridge_python": StringProperty(
            name="Existing Python",
            description="A Python that has the engine's packages, instead of what Set Up makes, as studios and farms"
            " have it. The folder of its environment will do as well. Empty: what Set Up made",
            subtype="FILE_PATH",
        ),
        "packages": EnumProperty(
            name="Packages For",
            items=PACKAGES,
            default="auto",
            description="Which of the engine's packages Set Up installs",
        ),
        "environment_folder": StringProperty(
            name="Set-Up Folder",
            description="Where Set Up puts the engine; a short path is best on Windows. Empty: the"
            " add-on's own folder, which other Blender versions find as well",
            subtype="DIR_PATH",
        ),
        "base_python": StringProperty(
            name="Python for Set Up",
            description="The Python (3.11 to 3.14) that the engine is set up with. Empty: Blender's own or one of the"
            " system; nothing is ever installed into either",
            subtype="FILE_PATH",
        ),
        "show_advanced": BoolProperty(name="Advanced", description="Show the other ways to set the engine up"),
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
        self.draw_bridge(context, layout)
        self.draw_set_up(context, layout)
        layout.column().prop(self, "cache_folder")
        icon = "DISCLOSURE_TRI_DOWN" if self.show_advanced else "DISCLOSURE_TRI_RIGHT"
        layout.prop(self, "show_advanced", icon=icon, emboss=False)
        if self.show_advanced:
            advanced = layout.column()
            column = advanced.column()
            column.prop(self, "bridge_python")
            column.prop(self, "packages")
            column.prop(self, "environment_folder")
            column.prop(self, "base_python")
            row = advanced.row()
            row.operator("skullptor.set_up_from_folder", icon="FILE_FOLDER")
            row.operator("skullptor.remove_set_up", icon="TRASH")
        row = layout.row()
        row.operator("skullptor.doctor")
        row.operator("skullptor.copy_doctor", icon="COPYDOWN")
        if session.doctor_text:
            box = layout.box().column(align=True)
            for line in session.doctor_text.splitlines()[:60]:
                box.label(text=line)

    def draw_bridge(self, context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
        if session.setting_up():
            layout.label(text="The engine is being set up; Blender can be used meanwhile", icon="INFO")
            return
        try:
            found = interpreter(context)
        except worker.WorkerError as error:
            warning = layout.column()
            warning.alert = True
            warning.label(text=error.sentence, icon="ERROR")
            layout.label(text=error.cure)
            return
        layout.label(text=f"Engine: {found}", icon="CHECKMARK")
        folder = next((folder for folder in environment_folders(context) if folder in found.parents), None)
        if folder and not environment.is_current(folder, ROOT):
            layout.label(text="The engine has a new version: press Set Up", icon="INFO")

    def draw_set_up(self, context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
        job = session.set_up
        if job and job.running:
            draw_set_up_progress(layout, job)
            return
        draw_set_up_button(context, layout)
        if job and job.error:
            column = layout.column(align=True)
            column.alert = True
            column.label(text=job.error.sentence, icon="ERROR")
            layout.label(text=job.error.cure)
        if job and job.plan.log.is_file():
            layout.operator("wm.path_open", text="Open Set-Up Log", icon="TEXT").filepath = str(job.plan.log)


def draw_set_up_button(context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
    """Set Up, and beside it what it needs: Blender's own leave to use the network."""
    column = layout.column(align=True)  # side by side the words would be cut off in the sidebar
    if not bpy.app.online_access and not bpy.app.online_access_override:
        column.prop(
            context.preferences.system, "use_online_access", text="Allow Online Access", toggle=True, icon="URL"
        )
    column.operator("skullptor.set_up", icon="IMPORT")


def draw_set_up_progress(layout: bpy.types.UILayout, job) -> None:
    column = layout.column()
    text = "Cancelling" if job.cancelling else f"{job.stage} {job.fraction:.0%}"
    column.progress(factor=job.fraction, text=text, type="BAR")
    column.label(text=f"{duration(job.elapsed)} so far. {job.detail}", icon="TIME")
    column.operator("skullptor.cancel_set_up", icon="X")


def download_size(context: bpy.types.Context) -> str:
    """What Set Up would load."""
    preferences = get(context)
    packages = preferences.packages if preferences else "auto"
    extra = environment.extra_for_machine() if packages == "auto" else packages
    return {"bridge": "0.9 GB", "cuda": "4.5 GB"}.get(extra, "")


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


def environment_folder(context: bpy.types.Context) -> Path:
    """Where Set Up makes the environment: a folder of its own in the chosen one."""
    preferences = get(context)
    chosen = preferences.environment_folder if preferences else ""
    return (Path(bpy.path.abspath(chosen)) if chosen else user_folder()) / "environment"


def environment_folders(context: bpy.types.Context) -> list[Path]:
    """Ours, then those that other Blender versions of this user have made: one environment serves all."""
    folders = [environment_folder(context), user_folder() / "environment"]
    parts = user_folder().parts
    place = next((i for i, part in enumerate(parts) if re.fullmatch(r"\d\.\d+", part)), None)
    if place is not None:
        inside = Path(*parts[place + 1 :], "environment")
        for version in sorted(Path(*parts[:place]).glob("[0-9].*"), reverse=True):
            if environment.is_ready(version / inside):
                folders.append(version / inside)
    return list(dict.fromkeys(folders))


def interpreter(context: bpy.types.Context, given: str = "") -> Path:
    """The bridge's Python. Raises WorkerError."""
    preferences = get(context)
    preferred = given or (preferences.bridge_python if preferences else "")
    preferred = bpy.path.abspath(preferred) if preferred else ""
    return worker.find_interpreter(preferred, ROOT, environment_folders(context))


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
