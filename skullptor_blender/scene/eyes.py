"""Eyes of a wrapped template: an iris of the size that people have, in the colour that the photographs show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from . import result

PARTS = ("eye_left", "eye_right")  # vertex groups
LIDS = "lids"  # vertex group of the skin around them
SIZE = 512  # pixels of the picture, which shows the front half of an eyeball
IRIS_MM = 5.9  # radius
PUPIL = 0.36  # of the iris
LIMBUS = 0.9  # of the iris: beyond it darkens
IRIS_RING = (0.5, 0.85)  # of the iris: where a head's vertices show its colour
LEAST_VERTICES = 6
IRIS = (0.30, 0.22, 0.15)  # sRGB, where no photograph tells
SCLERA = (0.84, 0.80, 0.77)  # sRGB; a dense head's own has the colours of its lids


@dataclass(frozen=True, eq=False)
class Eyeball:
    """A sphere of a template and its corners."""

    center: np.ndarray  # [3] world
    radius: float
    vertices: np.ndarray  # [n] rows


def dress(ob: bpy.types.Object, head: bpy.types.Object | None, metres: float, folder: Path | None) -> bool:
    """Give the eyeballs of a template an iris; False where it has no eyes with lids around them.

    head: whose colours say the iris's. metres: of a Blender unit. folder: where the picture goes; None packs it.
    """
    places = result.arrays_of(ob)["vertices"]
    lids = places[_members(ob, LIDS)]
    balls = [_ball(places, rows) for rows in (_members(ob, part) for part in PARTS) if len(rows) > 3]
    if not balls or not len(lids):
        return False
    forward = sum(_out_of_socket(ball, lids) for ball in balls)
    forward /= np.linalg.norm(forward)
    angle = float(np.mean([np.arcsin(min(0.6, IRIS_MM / 1000 / metres / ball.radius)) for ball in balls]))
    image = _picture(f"{ob.name} Eyes", _iris_of(head, balls, forward, angle), angle, folder)
    material = _material(ob, image)
    _wear(ob, balls, places, forward, material)
    return True


def _members(ob: bpy.types.Object, group: str) -> np.ndarray:  # [n] vertices
    index = ob.vertex_groups.find(group)
    if index < 0:
        return np.empty(0, int)
    return np.array([v.index for v in ob.data.vertices if any(g.group == index for g in v.groups)], int)


def _ball(places: np.ndarray, rows: np.ndarray) -> Eyeball:
    """The sphere through vertices, by least squares."""
    points = places[rows]
    middle = points.mean(0)
    solved = np.linalg.lstsq(
        np.c_[2 * (points - middle), np.ones(len(rows))], ((points - middle) ** 2).sum(1), rcond=None
    )[0]
    return Eyeball(middle + solved[:3], float(np.sqrt(solved[3] + solved[:3] @ solved[:3])), rows)


def _out_of_socket(ball: Eyeball, lids: np.ndarray) -> np.ndarray:  # [3] unit
    near = np.linalg.norm(lids - ball.center, axis=1) < 1.6 * ball.radius
    out = (lids[near] if near.any() else lids).mean(0) - ball.center
    return out / np.linalg.norm(out)


def _iris_of(head, balls: list[Eyeball], forward: np.ndarray, angle: float) -> np.ndarray:  # [3] sRGB
    """The usual colour of the head's own vertices in front of the irises."""
    found = [np.empty((0, 3))]
    arrays = result.arrays_of(head) if head is not None else {}
    for ball in balls if "color" in arrays else ():
        away = arrays["vertices"] - ball.center
        near = np.linalg.norm(away, axis=1) < 1.5 * ball.radius
        away, colors = away[near], arrays["color"][near] / 255
        turned = np.arctan2(np.linalg.norm(np.cross(away, forward), axis=1), away @ forward) / angle
        found.append(colors[(turned > IRIS_RING[0]) & (turned < IRIS_RING[1])])
    seen = np.concatenate(found)
    return np.median(seen, 0) if len(seen) >= LEAST_VERTICES else np.array(IRIS)


def _picture(name: str, iris: np.ndarray, angle: float, folder: Path | None) -> bpy.types.Image:
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    radius = np.hypot(x, y) * np.pi / angle  # of the iris: half of the side is 90 degrees
    soft = 3 * np.pi / SIZE / angle

    def beyond(edge: float) -> np.ndarray:  # 0 inside, 1 outside
        return np.clip((radius - edge) / soft + 0.5, 0, 1)[..., None]

    colour = iris * (0.85 + 0.3 * np.clip(radius, 0, 1)[..., None])
    colour = colour * (1 - 0.5 * beyond(LIMBUS))
    colour = 0.02 + (colour - 0.02) * beyond(PUPIL)
    colour = colour + (np.array(SCLERA) - colour) * beyond(1.0)
    rgba = np.ones((SIZE, SIZE, 4), np.float32)
    rgba[..., :3] = np.clip(colour, 0, 1)
    image = bpy.data.images.new(name, SIZE, SIZE)
    image.pixels.foreach_set(rgba.ravel())
    if folder is None:
        image.pack()
    else:
        image.filepath_raw, image.file_format = bpy.path.relpath(str(folder / "eyes.png")), "PNG"
        image.save()
    return image


def _material(ob: bpy.types.Object, image: bpy.types.Image) -> bpy.types.Material:
    """Wet: smooth, and without light below its surface."""
    material = bpy.data.materials.new(f"{ob.name} Eyes")
    if material.node_tree is None:  # Blender 5 makes the nodes by itself
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.12
    shows = nodes.new("ShaderNodeTexImage")
    shows.image = image
    shows.location = (shader.location.x - 300, shader.location.y)
    links.new(shows.outputs["Color"], shader.inputs["Base Color"])
    nodes.active = shows
    return material


def _wear(ob, balls: list[Eyeball], places: np.ndarray, forward: np.ndarray, material: bpy.types.Material) -> None:
    """UVs that look along the gaze, and the material in the slots of the eyes.

    Solid view knows the mesh's main UVs alone, so the eyes' lie there too, in a tile of their own beside the skin's:
    pictures repeat, and nothing overlaps the skin.
    """
    mesh = ob.data
    uv = np.zeros((len(places), 2))
    up = np.linalg.svd(forward[None])[2][1:]  # any two directions across the gaze: an iris is round
    for ball in balls:
        away = places[ball.vertices] - ball.center
        aside = away @ up.T
        length = np.linalg.norm(aside, axis=1)
        turned = np.minimum(np.arctan2(length, away @ forward), np.pi / 2)
        uv[ball.vertices] = 0.5 + aside / np.maximum(length, 1e-12)[:, None] * (turned / np.pi)[:, None]
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    layer = mesh.uv_layers.active or mesh.uv_layers.new()
    main = np.empty(2 * len(mesh.loops), np.float32)
    layer.uv.foreach_get("vector", main)
    main = main.reshape(-1, 2)
    rows = np.concatenate([ball.vertices for ball in balls])
    eyes = np.isin(corners, rows)
    main[eyes] = uv[corners[eyes]] + (np.ceil(main[~eyes, 0].max(initial=1.0)), 0)
    layer.uv.foreach_set("vector", main.ravel())
    ours = set(rows.tolist())
    for slot in {p.material_index for p in mesh.polygons if p.vertices[0] in ours} - {0}:
        mesh.materials[slot] = material
