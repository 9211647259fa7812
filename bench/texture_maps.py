"""python -m bench.texture_maps --blender PYTHON [...]: detail maps on a wrapped template, as Blender shows them.

Normal map: the template with it, rendered by Cycles, against the dense head: mean angle, over the face as well.
Displacement: the template under Multires and a Displace modifier: how far its skin is from the dense head.

WRAP is the wrap.npz of `python -m bridge wrap`, HEAD the dense head it lies on, PYTHON one that has Blender's bpy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bridge.mesh import Mesh
from bridge.mesh.distance import distances
from bridge.report.results import read_ply, write_npz
from bridge.texture.detail import DenseHead, bake_detail
from bridge.texture.files import read_mesh, write_detail

SCRIPT = Path(__file__).with_name("blender") / "texture_maps.py"


def write_skin(wrapped, path: Path) -> np.ndarray:  # [V] rows of the template that are the skin's
    """The template's skin as OBJ: quads with UVs, without eyes and teeth."""
    skin = list(wrapped["part_names"]).index("skin")
    faces = (wrapped["part"][wrapped["faces"]] == skin).all(1)
    rows, corners = np.unique(wrapped["faces"][faces], return_inverse=True)
    corners = corners.reshape(-1, 4) + 1
    with path.open("w", encoding="utf-8") as file:
        np.savetxt(file, wrapped["vertices"][rows], "v %.9g %.9g %.9g")
        np.savetxt(file, wrapped["uv"], "vt %.7f %.7f")
        both = np.stack([corners, wrapped["faces_uv"][faces] + 1], -1).reshape(-1, 8)
        np.savetxt(file, both, "f %d/%d %d/%d %d/%d %d/%d")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrap", type=Path, required=True)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--unit-mm", type=float, required=True)
    parser.add_argument("--blender", type=Path, required=True)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--keep", type=Path, help="folder for maps and renders")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, np.load(options.wrap) as wrapped:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        rows = write_skin(wrapped, folder / "skin.obj")
        dense = Mesh(*read_ply(options.head))
        for name, subdivided in (("catmull_clark", True), ("simple", False)):
            source = DenseHead(options.head.name, dense)
            made = bake_detail(read_mesh(folder / "skin.obj"), source, options.size, subdivided=subdivided)
            write_detail(folder, made)
            (folder / "displacement.exr").replace(folder / f"{name}.exr")
        write_npz(folder / "dense.npz", vertices=dense.vertices, faces=dense.faces)
        regions = {name: wrapped[f"region_{name}"][rows] for name in ("face", "exposed")}
        write_npz(folder / "regions.npz", **regions)
        subprocess.run([options.blender, SCRIPT, folder], check=True, stdout=subprocess.DEVNULL)
        angles = json.loads((folder / "angles.json").read_text())
        print(f"{len(rows)} vertices of skin, maps of {options.size}, {made.missed_pct:.1f} % of the places not met")
        for kind, found in angles.items():
            print(
                f"  angle to the dense head, {kind}: mean {found['all']:.2f} degrees, over the face {found['face']:.2f}"
            )
        with np.load(folder / "displaced.npz") as displaced:
            for kind in ("simple_plain", "simple", "catmull_clark_plain", "catmull_clark"):
                gap = distances(displaced[kind], dense.vertices, dense.faces) * options.unit_mm
                for name in regions:
                    inside = displaced[name] > 0.99
                    median, high = np.quantile(gap[inside], (0.5, 0.95))
                    print(f"  {kind}, {name}: {inside.sum()} vertices, median {median:.3f}, p95 {high:.3f} mm")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
