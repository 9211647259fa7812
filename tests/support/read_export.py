"""What other people's libraries find in an exported head: ufbx (FBX), Pixar's OpenUSD, pygltflib (glTF), as JSON.

    python tests/support/read_export.py FILE

Runs in an interpreter of its own: Blender has OpenUSD inside, and two of them in one process do not agree.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

KEPT: list = []  # ufbx 0.0.5 dies when its scenes are freed


def fbx(path: str) -> dict:
    import ufbx

    scene = ufbx.load_file(path)
    (mesh,) = meshes = list(scene.meshes)
    KEPT.extend((scene, mesh, meshes))
    return {
        "vertices": len(mesh.vertices),
        "quads": sum(face.num_indices == 4 for face in mesh.faces),
        "uv_sets": len(mesh.uv_sets),
        "materials": sorted(material.name for material in mesh.materials),
        "bones": sorted(bone.name for bone in scene.bones),
        "shapes": {channel.name: None for channel in scene.blend_channels},  # ufbx 0.0.5 dies of their offsets
    }


def usd(path: str) -> dict:
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(path)
    (prim,) = (p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh))
    mesh, bound = UsdGeom.Mesh(prim), UsdSkel.BindingAPI(prim)
    points = np.array(mesh.GetPointsAttr().Get())
    size = np.ptp(points, axis=0).max()
    names, targets = bound.GetBlendShapesAttr().Get(), bound.GetBlendShapeTargetsRel().GetTargets()
    shapes = {}
    for name, target in zip(names, targets, strict=True):
        offsets = np.array(UsdSkel.BlendShape(stage.GetPrimAtPath(target)).GetOffsetsAttr().Get())
        shapes[str(name)] = np.linalg.norm(offsets, axis=1).max() / size
    (skeleton,) = (UsdSkel.Skeleton(p) for p in stage.Traverse() if p.IsA(UsdSkel.Skeleton))
    coordinates = [v for v in UsdGeom.PrimvarsAPI(prim).GetPrimvars() if "texCoord" in str(v.GetTypeName())]
    subsets = UsdGeom.Subset.GetAllGeomSubsets(mesh)
    return {
        "vertices": len(points),
        "quads": int((np.array(mesh.GetFaceVertexCountsAttr().Get()) == 4).sum()),
        "uv_sets": len(coordinates),
        "materials": sorted(subset.GetPrim().GetName() for subset in subsets),
        "bones": sorted(joint.split("/")[-1] for joint in skeleton.GetJointsAttr().Get()),
        "shapes": shapes,
    }


def gltf(path: str) -> dict:
    import pygltflib

    file = pygltflib.GLTF2().load(path)
    assert file is not None
    (mesh,) = file.meshes
    names, sizes, largest, uv_sets = mesh.extras["targetNames"], [], {}, set()
    for primitive in mesh.primitives:
        position = file.accessors[primitive.attributes.POSITION]
        sizes.append((position.min, position.max))
        uv_sets.add(primitive.attributes.TEXCOORD_0 is not None)
        for name, target in zip(names, primitive.targets, strict=True):
            moved = np.abs(_values(file, file.accessors[target["POSITION"]])).astype(float)
            largest[name] = max(largest.get(name, 0.0), float(np.linalg.norm(moved, axis=1).max()))
    low, high = np.min([a for a, _ in sizes], 0), np.max([b for _, b in sizes], 0)
    return {
        "uv_sets": int(all(uv_sets)),
        "materials": sorted(material.name for material in file.materials),
        "bones": sorted(file.nodes[joint].name for joint in file.skins[0].joints),
        "shapes": {name: value / (high - low).max() for name, value in largest.items()},
    }


def _values(file, accessor) -> np.ndarray:  # [n, 3] of float32, sparse or not
    blob = file.binary_blob()
    if accessor.bufferView is not None:
        view = file.bufferViews[accessor.bufferView]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        return np.frombuffer(blob, "<f4", 3 * accessor.count, start).reshape(-1, 3)
    view = file.bufferViews[accessor.sparse.values.bufferView]
    start = (view.byteOffset or 0) + (accessor.sparse.values.byteOffset or 0)
    return np.frombuffer(blob, "<f4", 3 * accessor.sparse.count, start).reshape(-1, 3)


if __name__ == "__main__":
    read = {".fbx": fbx, ".glb": gltf, ".usdc": usd}[Path(sys.argv[1]).suffix]
    print(json.dumps(read(sys.argv[1]), default=float), flush=True)
    os._exit(0)  # with all that is kept
