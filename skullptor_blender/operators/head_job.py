"""The job behind Reconstruct Head: settings, capture and start before the bridge; result and object after it."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import bpy
import numpy as np

from ...bridge.service import protocol
from ..link import run_files, session, worker
from ..link.job import Job
from ..link.preflight import WARNING, Finding
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..scene import result as scene_result
from ..scene import rigs
from ..ui import preferences

FOLDERS = ("image_folder", "mask_folder", "normals_folder")
SETTINGS = ("preset", "normals", "device", "max_vertices", "steps", "smoothness", "seed", "refine_cameras")
OPTIONAL = ("max_vertices", "steps", "smoothness")  # the preset's, unless the artist ticks them


def chosen(operator: bpy.types.Operator, scene: bpy.types.Scene) -> dict:
    """Keyword arguments where they were given, else those stored on a result, else the scene's settings.

    None is the preset's value. Raises WorkerError.
    """
    settings = scene.skullptor
    stored = stored_settings(operator.stored) if operator.stored else {}
    values = {}
    for name in (*SETTINGS, *FOLDERS):
        if hasattr(operator, name) and operator.properties.is_property_set(name):
            values[name] = getattr(operator, name)
        elif name in stored:
            values[name] = stored[name]
        elif name in OPTIONAL and not getattr(settings, f"use_{name}"):
            values[name] = None
        elif name == "refine_cameras" and settings.refine_cameras:
            values[name] = None  # where the photographs contradict them; only a script asks for it in any case
        else:
            values[name] = getattr(settings, name)
    return values


def stored_settings(text: str) -> dict:
    """What an earlier run was made with, as its object keeps it. Raises WorkerError."""
    try:
        body = json.loads(text)
        if not isinstance(body, dict):
            raise TypeError("they are no settings")
        known = protocol.JobSettings(**{name: body[name] for name in SETTINGS if name in body})
    except (ValueError, TypeError) as error:  # a ProtocolError is a ValueError
        sentence = f"The settings stored on the head cannot be read: {error}"
        raise WorkerError("settings", sentence, "Press Reconstruct Head instead.") from None
    return {name: getattr(known, name) for name in SETTINGS}


def read_cameras(context: bpy.types.Context, values: dict) -> scene_capture.CameraSet:
    """Check the cameras of the scene and let the panel know."""
    found = scene_capture.read_cameras(
        context.scene,
        context.view_layer,
        context.evaluated_depsgraph_get(),
        image_folder=values["image_folder"],
        mask_folder=values["mask_folder"],
        normals_folder=values["normals_folder"],
    )
    session.findings = found.findings
    session.findings_about = scene_capture.signature(context.view_layer)
    return found


def begin(context: bpy.types.Context, values: dict, bridge_python: str = "") -> tuple[Job, scene_capture.CameraSet]:
    """Check, read the scene, start the bridge. Raises WorkerError; then nothing is left behind."""
    found = read_cameras(context, values)
    if found.errors:
        first = found.errors[0]
        more = len(found.errors) - 1
        note = f" ({more} more: press Check Cameras.)" if more else ""
        raise WorkerError(first.code, first.sentence, first.cure + note)
    if values["normals"] == "measured":
        for view in found.usable:
            if view.normals is None:
                raise WorkerError(
                    "normals-missing",
                    f"Camera '{view.camera}' has no normal map in '{values['normals_folder'] or 'the folder'}'.",
                    "Choose the folder with measured normal maps, or the network as the source of normals.",
                )
    interpreter = preferences.interpreter(context, bridge_python)
    settings = protocol.JobSettings(**{name: values[name] for name in SETTINGS})
    root = preferences.cache_folder(context)
    folder = run_files.new_run(root)
    try:
        scene = context.scene.skullptor
        draft = scene_capture.draft(found.usable, context.scene, scene.normals_axes, scene.normals_max)
        bridge = worker.warm_worker(interpreter, preferences.ROOT, root)
    except WorkerError:
        run_files.drop(folder)
        raise
    job = Job(folder.name, folder / "capture", folder / "output", settings, bridge, draft)
    return job, found


def complete(
    context: bpy.types.Context, scene_name: str, job: Job, findings: list[Finding], rig: str
) -> tuple[session.Outcome, bpy.types.Object]:
    """The finished job's mesh into the scene, as a head of its rig. The scene is changed in one go."""
    scene = bpy.data.scenes.get(scene_name) or context.scene
    view_layer = context.view_layer if scene == context.scene else scene.view_layers[0]
    arrays = job.arrays
    run = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "seconds": round(job.elapsed, 1),
        "capture": str(job.capture),
        "id": job.id,
        "picture": job.result.picture,
    }
    head = scene_result.create(
        scene,
        view_layer,
        arrays,
        "Head",
        {
            scene_result.MARK: protocol.VERSION,
            rigs.KEY: rig,
            "skullptor_settings": json.dumps(dataclasses.asdict(job.settings)),
            "skullptor_run": json.dumps(run),
            "skullptor_report": job.result.report,
        },
    )
    text = f"{len(arrays['vertices']):,} vertices in {job.elapsed:.0f} s"
    if said := _refined(job.result.report):
        text += f". {said}"
    outcome = session.Outcome(
        ok=True,
        text=text,
        warnings=[f.sentence for f in findings] + [f"{w.sentence} {w.cure}".strip() for w in job.warnings],
        remarks=[*findings, *(Finding(w.code, WARNING, "", w.sentence, w.cure) for w in job.warnings)],
        report=job.result.report,
        picture=job.result.picture,
        result=job.result.path,
        object_name=head.name,
    )
    return outcome, head


def eyes(report: str) -> np.ndarray | None:  # [2, 3] in the scene's world
    """Where the network saw the eyes, as the report has it."""
    try:
        found = np.array(json.loads(Path(report).read_text(encoding="utf-8"))["eyes"], float)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.shape == (2, 3) else None


def _refined(report: str) -> str:
    """How far the cameras were off, in the report's own sentence."""
    try:
        return json.loads(Path(report).read_text(encoding="utf-8"))["refined"]["sentence"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
