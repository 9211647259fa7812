"""Where a head's neck is, and a clean cut there. Finding it is NumPy only."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np

LEVELS = 96  # slices between crown and shoulders
CROWN = 0.15  # share of the height below the crown where the search for the widest slice begins
SMOOTH = 5  # slices that are averaged
SHOULDERS = 1.15  # a bust is this much wider than its neck somewhere below it
STILL_NECK = 1.08  # times the narrowest slice
FRINGE = 0.04  # share of the height that is cut off where there are no shoulders


def level(vertices: np.ndarray, up: np.ndarray, confidence: np.ndarray | None = None) -> float:
    """The height along up at which a head is cut: where its neck ends above the shoulders, else its fringe.

    vertices [V, 3]; up [3] unit; confidence [V] 0..1: what no camera saw tells nothing about the shape.
    """
    seen = vertices if confidence is None or (confidence > 0).mean() < 0.2 else vertices[confidence > 0]
    height = seen @ up
    bottom, top = np.percentile(height, (0.2, 99.8))
    flat = seen - np.outer(height, up)
    a = np.linalg.svd(np.eye(3) - np.outer(up, up))[0][:, :2]  # two directions across up
    places = flat @ a
    index = np.clip(((top - height) / max(top - bottom, 1e-12) * LEVELS).astype(int), 0, LEVELS - 1)
    width = np.full(LEVELS, np.nan)
    for i in range(LEVELS):
        slice_ = places[index == i]
        if len(slice_) > 3:
            width[i] = np.sqrt(np.prod(np.percentile(slice_, 97, axis=0) - np.percentile(slice_, 3, axis=0) + 1e-12))
    known = np.flatnonzero(np.isfinite(width))
    width = np.interp(np.arange(LEVELS), known, width[known])
    padded = np.pad(width, SMOOTH // 2, mode="edge")
    width = np.convolve(padded, np.ones(SMOOTH) / SMOOTH, mode="valid")
    start = int(CROWN * LEVELS)
    # the narrowest slice from which the bust widens again; a waist below the lip is not the narrowest
    necks = [i for i in range(start + 1, LEVELS - 1) if width[i + 1 :].max() > SHOULDERS * width[i]]
    necks = [i for i in necks if width[i] <= width[start:i].min()]
    if necks:
        i = narrowest = min(necks, key=lambda i: width[i])
        while i + 1 < LEVELS and width[i + 1] <= STILL_NECK * width[narrowest]:
            i += 1  # as low as the neck goes: a chin may hang as deep as the narrowest place
        return float(top - (i + 0.5) / LEVELS * (top - bottom))
    return float(bottom + FRINGE * (top - bottom))


def cut(mesh: bpy.types.Mesh, point: np.ndarray, up: np.ndarray) -> int:
    """Take away all below a plane, and pieces that hang on nothing; the attributes go along. How many vertices went."""
    before = len(mesh.vertices)
    edited = bmesh.new()
    edited.from_mesh(mesh)
    bmesh.ops.bisect_plane(
        edited,
        geom=[*edited.verts, *edited.edges, *edited.faces],
        dist=1e-7,
        plane_co=point,
        plane_no=up,
        clear_inner=True,
    )
    bmesh.ops.triangulate(edited, faces=[face for face in edited.faces if len(face.verts) > 3])
    bmesh.ops.delete(edited, geom=_small_pieces(edited), context="VERTS")
    edited.to_mesh(mesh)
    edited.free()
    mesh.update()
    return before - len(mesh.vertices)


def _small_pieces(edited: bmesh.types.BMesh) -> list[bmesh.types.BMVert]:
    """The vertices of all but the largest connected piece."""
    pieces, seen = [], set()
    for first in edited.verts:
        if first in seen:
            continue
        piece, waiting = [], [first]
        seen.add(first)
        while waiting:
            vertex = waiting.pop()
            piece.append(vertex)
            for edge in vertex.link_edges:
                other = edge.other_vert(vertex)
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        pieces.append(piece)
    pieces.sort(key=len, reverse=True)
    return [vertex for piece in pieces[1:] for vertex in piece]
