"""The files of a texture: maps with UDIM names, the unwrapped mesh, and a report that says what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..report.results import read_ply, write_json, write_npz
from ..side_by_side import side_by_side
from .bake import Albedo
from .detail import Detail
from .exr import write_exr
from .obj import read_obj, write_obj
from .png import write_png
from .settings import TextureSettings
from .uv_mesh import UvMesh

FIRST_TILE = 1001
REPORT, MESH_FILES = "texture.json", ("textured.obj", "textured.mtl", "textured.npz")
UNREADABLE = "Give a PLY (UVs are made) or an OBJ (its UVs are used)."


def read_mesh(path: Path) -> UvMesh:
    """A mesh for texturing; without rows of uv where the file has none. Raises BridgeError "mesh"."""
    if not path.exists():
        raise BridgeError("mesh", f"There is no mesh at '{path}'.", UNREADABLE)
    if path.suffix.lower() == ".obj":
        return read_obj(path)
    if path.suffix.lower() == ".ply":
        vertices, faces = read_ply(path)
        return UvMesh(vertices, faces, np.empty((0, 2)), np.zeros_like(faces))
    raise BridgeError("mesh", f"The mesh '{path.name}' is neither PLY nor OBJ.", UNREADABLE)


def map_name(kind: str, tile: int, tiles: Sequence[int], suffix: str = ".png") -> str:
    """albedo.png, or albedo.1002.png where a mesh has more tiles than the first (the UDIM convention)."""
    return f"{kind}{suffix}" if list(tiles) == [FIRST_TILE] else f"{kind}.{tile}{suffix}"


def write_albedo(folder: Path, albedo: Albedo) -> list[str]:
    """Write the albedo maps, one a tile; returns their file names."""
    tiles = list(albedo.maps)
    for tile, image in albedo.maps.items():
        write_png(folder / map_name("albedo", tile, tiles), image, srgb=True)
    return [map_name("albedo", tile, tiles) for tile in tiles]


def write_detail(folder: Path, detail: Detail) -> dict[str, list[str]]:
    """normal.png (16 bit), displacement.exr (32 bit), and occlusion.png and curvature.png where they were made."""
    tiles = list(detail.normals)
    planes = {
        "normal": detail.normals,
        "displacement": detail.displacement,
        "occlusion": detail.occlusion,
        "curvature": detail.curvature,
    }

    def write(chosen: tuple[str, int]) -> tuple[str, str]:
        kind, tile = chosen
        name = map_name(kind, tile, tiles, ".exr" if kind == "displacement" else ".png")
        if kind == "displacement":
            write_exr(folder / name, planes[kind][tile])
        else:
            write_png(folder / name, planes[kind][tile], srgb=False)
        return kind, name

    made: dict[str, list[str]] = {}
    for kind, name in side_by_side(write, [(kind, tile) for kind, found in planes.items() for tile in found]):
        made.setdefault(kind, []).append(name)
    return made


def write_mesh(folder: Path, mesh: UvMesh, texture: str) -> None:
    """textured.obj with its material, and textured.npz for the add-on."""
    write_obj(folder / "textured.obj", mesh, texture)
    write_npz(
        folder / "textured.npz",
        vertices=mesh.vertices,
        faces=mesh.faces.astype(np.int32),
        uv=mesh.uv.astype(np.float32),
        faces_uv=mesh.faces_uv.astype(np.int32),
    )


def write_report(
    folder: Path, mesh: UvMesh, albedo: Albedo, settings: TextureSettings, more: Mapping[str, object]
) -> None:
    """Write what was done and how it went as JSON. more: what is told beside mesh, albedo and settings."""
    write_json(
        folder / REPORT,
        {
            "settings": asdict(settings),
            "tiles": mesh.tiles(),
            "charts": int(mesh.charts().max()) + 1,
            "seen_pct": round(albedo.seen_pct, 2),
            "views": list(albedo.views),
            "gains": np.round(albedo.gains, 4).tolist(),
            **more,
        },
    )
