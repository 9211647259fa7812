"""What the batch does in a scene, frame by frame: the same operators as the panel's."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..link import session
from ..scene import materials, rigs
from . import template
from .animation import perform
from .files import check_target, copy, copy_folder, save, write_files, write_maps, write_text
from .options import KEYWORDS, check_usage, frames_of, from_the_shell, numbered
from .trouble import Trouble


def execute(options: argparse.Namespace) -> None:
    """Do the task and write what was asked for. Raises Trouble."""
    from_the_shell(options)
    frames = frames_of(options)
    digits = max(4, *(len(str(frame)) for frame in frames)) if frames else 4
    check_usage(options)
    for frame in frames or [None]:
        for name in ("ply", "report", "picture"):
            if target := numbered(getattr(options, name), frame, digits):
                check_target(target)
    if options.maps:
        check_target(options.maps / "normals.json")
    for target in (options.output, *(options.export or ())):
        if target:
            check_target(target)
    scene = bpy.context.scene
    if options.scene:
        scene = bpy.data.scenes.get(options.scene)
        if scene is None:
            names = ", ".join(f"'{name}'" for name in bpy.data.scenes.keys())  # noqa: SIM118
            raise Trouble(f"There is no scene '{options.scene}'; the file holds {names}.")
    view_layer = scene.view_layers[0] if scene != bpy.context.scene else bpy.context.view_layer
    head = None
    with bpy.context.temp_override(scene=scene, view_layer=view_layer):
        if options.source or options.photos:
            make_cameras(options)
        if options.frame is not None:
            scene.frame_set(options.frame)
        view_layer.update()
        with only(options.views, scene, view_layer):
            if options.task == "cameras":
                said, trouble = "the cameras are made", ""
            elif options.task == "performance":
                head, said, trouble = perform(options, call)
            elif frames:
                said, trouble = every_frame(options, scene, frames, digits)
            else:
                head, said, trouble = one(options, None, digits)
    if options.output and (frames or not trouble or head is not None):
        save(options.output)
    if said:
        print(f"Done: {said}", flush=True)
    if trouble:
        raise Trouble(trouble)


def call(operator, **keywords):
    """An operator with its outcome. Raises Trouble with its sentence."""
    session.quiet = True
    try:
        done = operator("EXEC_DEFAULT", **keywords)
    except RuntimeError as error:
        raise Trouble(str(error).strip()) from None
    finally:
        session.quiet = False
    if "FINISHED" not in done:
        raise Trouble(f"{session.outcome.text} {session.outcome.cure}".strip())
    return session.outcome


@contextlib.contextmanager
def only(views: str | None, scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> Iterator[None]:
    """The other cameras are left out meanwhile. views: the first so many, or names. Raises Trouble."""
    cameras = {ob.name: ob for ob in rigs.cameras(rigs.active(scene), view_layer)}
    used = {name: ob.data.skullptor.use for name, ob in cameras.items()}
    wanted = list(cameras)
    if views and views.isdecimal() and views not in cameras:
        wanted = [name for name in cameras if used[name]][: int(views)]
    elif views:
        wanted = [name.strip() for name in views.split(",")]
    for name in wanted:
        if name not in cameras:
            raise Trouble(f"There is no camera '{name}'; the rig has {', '.join(cameras) or 'none'}.")
    if views:
        for name, ob in cameras.items():
            ob.data.skullptor.use = name in wanted
    try:
        yield
    finally:
        for name, ob in cameras.items():
            if ob.data.skullptor.use != used[name]:
                ob.data.skullptor.use = used[name]


def make_cameras(options: argparse.Namespace) -> None:
    keywords = {"turn_upright": not options.keep_world}
    for name in ("capture_folder", "bridge_python", "front"):
        if getattr(options, name):
            keywords[name] = str(getattr(options, name))
    if options.photos and Path(options.photos).is_file():
        outcome = call(bpy.ops.skullptor.photo_to_head, filepath=options.photos, reconstruct=False, **keywords)
    elif options.photos:
        outcome = call(bpy.ops.skullptor.photos_to_cameras, directory=options.photos, **keywords)
    else:
        for name in ("format", "images"):
            if getattr(options, name):
                keywords[name] = getattr(options, name)
        try:
            outcome = call(bpy.ops.skullptor.import_capture, filepath=options.source, **keywords)
        except TypeError as error:  # Blender names the formats there are
            raise Trouble(" ".join(str(error).split())) from None
    warn(outcome)
    print(outcome.text, flush=True)


def warn(outcome) -> None:
    for warning in outcome.warnings:
        print(f"Warning: {warning}", flush=True)


def every_frame(options: argparse.Namespace, scene, frames: list[int], digits: int) -> tuple[str, str]:
    """One result after another; returns what was done, and what went wrong or nothing."""
    heads, failed, done = [], [], 0
    for frame in frames:
        scene.frame_set(frame)
        head, said, trouble = one(options, frame, digits)
        if head is not None:
            heads.append((frame, head))
        if trouble:
            failed.append(frame)
            print(f"Error: frame {frame}: {trouble}", file=sys.stderr, flush=True)
            if options.stop_on_error:
                break
        else:
            done += 1
            print(f"Frame {frame}: {said}", flush=True)
    show_in_turn(heads)
    trouble = f"{len(failed)} of {len(frames)} frames failed: {', '.join(map(str, failed))}." if failed else ""
    return f"{done} of {len(frames)} frames", trouble


def one(options: argparse.Namespace, frame: int | None, digits: int) -> tuple[object, str, str]:
    """The task at the current frame and its files: (the head object or None, what was done, what went wrong)."""
    keywords = {name: getattr(options, name) for name in KEYWORDS if getattr(options, name) is not None}
    try:
        if options.task == "check":
            return None, *check(options, frame, digits)
        if options.task == "normals":
            operator = bpy.ops.skullptor.predict_normals
            known = operator.get_rna_type().properties
            outcome = call(operator, **{name: value for name, value in keywords.items() if name in known})
            write_maps(options, outcome, frame, digits)
            warn(outcome)
            return None, outcome.text, ""
        known = template.head_there(bpy.context.view_layer) if options.task == "wrap" and frame is None else None
        if known is not None and not (options.source or options.photos):
            made, said = template.lay(options, known, call)
            return made, said, ""
        outcome = call(bpy.ops.skullptor.reconstruct_head, **keywords)
        head = bpy.data.objects[outcome.object_name]
        if frame is not None:
            head.name = f"Head_{frame:0{digits}d}"
            head.data.name = f"{head.name}.mesh"
        try:
            write_files(options, outcome, frame, digits)
        except Trouble as trouble:
            kept = Path(outcome.result).with_suffix(".ply")
            return head, outcome.text, f"{trouble} The head is kept as '{kept}'."
        warn(outcome)
    except Trouble as trouble:
        return None, "", str(trouble)
    try:
        said = f"{outcome.text}, {texture(options, head, frame, digits)}" if options.texture else outcome.text
        if options.task == "wrap":
            said = f"{outcome.text}; {template.lay(options, head, call)[1]}"
    except Trouble as trouble:
        return head, outcome.text, str(trouble)
    return head, said, ""


def texture(options: argparse.Namespace, head, frame: int | None, digits: int) -> str:
    """The head wears its photographs; the maps lie beside the PLY, if there is one. Raises Trouble."""
    bpy.context.scene.skullptor_texture.size = options.texture
    bpy.context.view_layer.objects.active = head
    keywords = {"bridge_python": options.bridge_python} if options.bridge_python else {}
    outcome = call(bpy.ops.skullptor.texture_head, **keywords)
    warn(outcome)
    if options.ply:
        ply = numbered(options.ply, frame, digits)
        copy_folder(Path(head[materials.MARK]), ply.with_name(f"{ply.stem}_texture"))
    return outcome.text


def check(options: argparse.Namespace, frame: int | None, digits: int) -> tuple[str, str]:
    """Print and write the findings; errors among them are what went wrong."""
    keywords = {"bridge_python": options.bridge_python} if options.bridge_python else {}
    outcome = call(bpy.ops.skullptor.check_cameras, **keywords)
    found = [finding for finding in session.findings if finding.severity in ("ERROR", "WARNING")]
    for finding in found:
        print(f"{finding.severity.title()}: {finding.sentence} {finding.cure}".strip(), flush=True)
    if target := numbered(options.report, frame, digits):
        keys = ("code", "severity", "view", "sentence", "cure")
        body = {"findings": [{key: getattr(finding, key) for key in keys} for finding in session.findings]}
        write_text(target, json.dumps(body, indent=1, ensure_ascii=False))
    copy(session.check_picture, numbered(options.picture, frame, digits))
    warn(outcome)
    errors = sum(finding.severity == "ERROR" for finding in found)
    trouble = f"The check found {errors} error{'s' if errors != 1 else ''} in the cameras." if errors else ""
    return outcome.text, trouble


def show_in_turn(heads: list) -> None:
    """Each head from its frame on, until the next one comes: the saved scene plays as an animation."""
    for i, (frame, head) in enumerate(heads):
        head.hide_set(False)
        for name in ("hide_viewport", "hide_render"):
            for at, hidden in (
                [(heads[0][0], True)] * (i > 0) + [(frame, False)] + [(at, True) for at, _ in heads[i + 1 : i + 2]]
            ):
                setattr(head, name, hidden)
                head.keyframe_insert(name, frame=at)
