"""The panels in the order in which the sidebar shows them. They draw what is known and compute nothing slow."""

from __future__ import annotations

import bpy

from .camera import SKULLPTOR_PT_camera
from .cameras import SKULLPTOR_PT_cameras
from .performance import SKULLPTOR_PT_performance
from .predictions import SKULLPTOR_PT_look
from .quality import SKULLPTOR_PT_quality
from .reconstruct import SKULLPTOR_PT_reconstruct
from .result import SKULLPTOR_PT_result, SKULLPTOR_PT_views
from .size import SKULLPTOR_PT_size
from .texture import SKULLPTOR_PT_texture, SKULLPTOR_PT_texture_photographs
from .wrap import SKULLPTOR_PT_template

CLASSES = (
    SKULLPTOR_PT_reconstruct,
    SKULLPTOR_PT_result,
    SKULLPTOR_PT_views,
    SKULLPTOR_PT_template,
    SKULLPTOR_PT_texture,
    SKULLPTOR_PT_texture_photographs,
    SKULLPTOR_PT_performance,
    SKULLPTOR_PT_size,
    SKULLPTOR_PT_cameras,
    SKULLPTOR_PT_look,
    SKULLPTOR_PT_quality,
    SKULLPTOR_PT_camera,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.WindowManager.skullptor_details = bpy.props.BoolProperty(
        name="Details", description="Show all that was said about the last run"
    )


def unregister() -> None:
    del bpy.types.WindowManager.skullptor_details
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
