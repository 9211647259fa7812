"""The cameras as panels list them: each with its photograph, and its problem in a few words."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..link import session
from ..link.preflight import ERROR, WARNING, Finding
from ..scene import capture as scene_capture
from ..scene import reference_image
from . import disk_cache


@dataclass
class Row:
    """One camera as the panel lists it."""

    camera: str
    image: str
    problem: str = ""
    severity: str = ""
    left_out: bool = False  # the run goes on without it

    @property
    def trouble(self) -> str:
        """The problem without the camera's name before it."""
        return self.problem.removeprefix(f"Camera '{self.camera}'").lstrip(": ")

    @property
    def ready(self) -> bool:
        return bool(self.image) and self.severity != ERROR and not self.left_out


def rows(context: bpy.types.Context) -> list[Row]:
    """Each used camera with its image, and its problem in a few words."""
    folder = context.scene.skullptor.image_folder
    images = disk_cache.cached(f"folder {folder}", lambda: reference_image.FolderOfImages(folder))
    told = {f.view: f for severity in (WARNING, ERROR) for f in findings(context) or () if f.severity == severity}
    found = []
    for ob in scene_capture.cameras(context.view_layer):
        reference = reference_image.of_camera(ob, context.scene, images)
        if reference is None:
            found.append(Row(ob.name, "", "no image", "INFO"))
            continue
        row = Row(ob.name, reference.label)
        path = reference.path
        if reference.problem:
            row.problem, row.severity = reference.problem, ERROR
        elif path is not None and not disk_cache.cached(f"file {path}", path.is_file):
            row.problem, row.severity = "image is missing", ERROR
        elif ob.data.type != "PERSP":
            row.problem, row.severity = "not perspective", ERROR
        elif ob.name in told:
            finding = told[ob.name]
            row.problem, row.severity, row.left_out = finding.sentence, finding.severity, finding.drop
        found.append(row)
    return found


def findings(context: bpy.types.Context) -> list[Finding] | None:
    """What the last check said; None when the cameras have changed since."""
    if session.findings is None or session.findings_about not in ("", scene_capture.signature(context.view_layer)):
        return None
    return session.findings
