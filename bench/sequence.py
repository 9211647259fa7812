"""How exactly a performance is followed: bench.performance's truth against what `sequence` tracks.

    python -m bench.sequence FOLDER [--template hm08]           the key frame is the truth's own mesh
    python -m bench.sequence FOLDER --output OUT [--sheet FILE] what `python -m bridge sequence` left in OUT

Errors belong to points of the skin: where the key frame's vertex lies on the true surface, there it must stay.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from bridge.capture import record
from bridge.capture.images import read_photo
from bridge.capture.inputs import read_inputs
from bridge.head.landmarks import Landmarker, find_faces
from bridge.head.triangulate import triangulate
from bridge.mesh.closest import Target, face_normals
from bridge.mesh.normals import vertex_normals
from bridge.model import Template
from bridge.model.load import load_template
from bridge.model.package import LANDMARKS, need
from bridge.model.template import edges_of, split_quads
from bridge.sequence import caches
from bridge.sequence.frames import open_source
from bridge.sequence.identity import Identity, identity_of, load_identity
from bridge.sequence.track import Tracker, placed
from bridge.wrap.regions import find_regions
from bridge.wrap.sheet import TILE, colours_of, shaded, wired

CURVES = (
    "jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp", "browDownLeft",
    "browOuterUpLeft",
)  # fmt: skip
TEXTURE = 2048  # texels of its side
RIM = 60  # pixels beside a head that the sheet leaves out


def perfect(template: Template, head: np.ndarray, inputs, landmarker: Landmarker) -> Identity:
    """The identity of a key frame whose wrap is the truth itself."""
    pictures = [photo.pixels for photo in inputs.photos]
    marks = triangulate(inputs.cameras, find_faces(landmarker, pictures))
    assert marks is not None and template.landmarks is not None
    regions = find_regions(template)
    wrapped = {
        "vertices": head, "faces": template.faces, "part": template.part, "shapes": template.expressions,
        "shape_names": np.array(template.expression_names), "landmarks": marks.points, "landmarks_sigma": marks.sigma,
        "uv": template.uv, "faces_uv": template.faces_uv,
    }  # fmt: skip
    marked = {name: getattr(regions, name) for name in regions.__dataclass_fields__}
    return identity_of(wrapped, template.landmarks, marked).with_look(inputs.cameras, pictures)


def jitter(error: np.ndarray, R: np.ndarray) -> float:
    """Rms second difference of errors [frames, n, 3], turned back by the true rotation; in millimetres."""
    local = np.einsum("fvi,fij->fvj", error, R)
    second = local[2:] - 2 * local[1:-1] + local[:-2]
    return float(np.sqrt((second**2).sum(2).mean())) if len(error) > 2 else 0.0


def report(found: np.ndarray, truth: np.ndarray, face: np.ndarray, still: np.ndarray, true, names, weights) -> dict:
    """found, truth: [frames, V, 3] of the same points."""
    error = np.linalg.norm(found - truth, axis=2)
    body = {
        "face_mm": float(error[:, face].mean()),
        "face_p95_mm": float(np.quantile(error[:, face], 0.95)),
        "skull_jitter_mm": jitter((found - truth)[:, still], true["R"]),
        "loop_mm": float(np.linalg.norm(found[-1] - found[0], axis=1)[face].mean()),
    }
    for name in CURVES:
        i = names.index(name)
        if np.std(true["expression"][:, i]) > 1e-6:
            body[f"r_{name}"] = float(np.corrcoef(true["expression"][:, i], weights[:, i])[0, 1])
    return {key: round(value, 4) for key, value in body.items()}


class Texels:
    """Points of the face spread evenly over the template's texture, and which points of the truth's skin they show."""

    def __init__(self, identity: Identity, head: np.ndarray, skin: np.ndarray, count: int = 4000) -> None:
        """head [V, 3], skin [T, 3]: the truth's first frame and its triangles."""
        rng = np.random.default_rng(0)
        triangles, corners = identity.triangles, split_quads(identity.faces_uv)
        face = identity.face[triangles].all(1)
        self.triangles, corners = triangles[face], corners[face]
        a, b, c = (identity.uv[corners[:, k]].astype(np.float64) * TEXTURE for k in range(3))
        area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        a, b, c = (identity.neutral[self.triangles[:, k]] for k in range(3))
        surface = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        self.chosen = rng.choice(len(area), count, p=area / area.sum())
        self.weights = rng.dirichlet(np.ones(3), count)
        self.texels_a_mm = np.sqrt(area / np.maximum(surface, 1e-9))[self.chosen]  # [n]
        self.head, self.skin = head, skin

    def skin_under(self, found: np.ndarray, truth: np.ndarray) -> np.ndarray:  # [V, 3] each -> [n, 3]
        """Where in the first frame lies the skin that is under each texel now."""
        now = self.triangles[self.chosen]
        points = np.einsum("nk,nkd->nd", self.weights, found[now])
        normals = np.einsum("nk,nkd->nd", self.weights, vertex_normals(found, self.triangles)[now])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        hit = Target(truth, self.skin).closest(points, normals, face_normals(truth, self.skin), 0.3)
        return np.einsum("nk,nkd->nd", hit.weights, self.head[self.skin[hit.face]])

    def drift(self, found: np.ndarray, truth: np.ndarray) -> np.ndarray:  # [frames, V, 3] each -> [frames, n] texels
        """How far each texel has moved over the skin since the first frame."""
        places = np.stack([self.skin_under(*pair) for pair in zip(found, truth)])
        return np.linalg.norm(places - places[0], axis=2) * self.texels_a_mm


def drifted(texels: np.ndarray) -> dict[str, float]:
    """texels [frames, n]. Last: the first frame's pose again, which is what has added up over the take."""
    return {
        "drift_last_texels": round(float(texels[-1].mean()), 4),
        "drift_last_p95_texels": round(float(np.quantile(texels[-1], 0.95)), 4),
        "drift_mean_texels": round(float(texels[1:].mean()), 4),
        "drift_median_texels": round(float(np.median(texels[1:])), 4),
        "drift_p95_texels": round(float(np.quantile(texels[1:], 0.95)), 4),
    }


def played(output: Path) -> tuple[Identity, dict, np.ndarray]:  # [frames, V, 3] world
    """Who performs, the curves, and where every vertex is in all frames of a solved sequence."""
    _, samples = caches.read_pc2(output / "point_cache.pc2")
    curves = json.loads((output / "curves.json").read_text(encoding="utf-8"))
    identity = load_identity(output / "identity.npz")
    R, centre = Rotation.from_rotvec(curves["head"]["rotation"]).as_matrix(), identity.centre
    shift = np.array(curves["head"]["shift"])
    return identity, curves, np.einsum("fij,fvj->fvi", R, samples - centre) + centre + shift[:, None]


def sheet(take: Path, output: Path, every: int) -> np.ndarray:  # uint8 RGB
    """Every so many frames a photograph, and the wireframe over the shaded template from the same camera."""
    identity, _, found = played(output)
    capture = record.load(take / "rig")
    view = capture.views[len(capture.views) // 2]
    camera = view.camera.resize(TILE, TILE)
    edges, triangles, colours = edges_of(identity.faces), split_quads(identity.faces), colours_of(identity.part)
    columns = []
    for frame in range(0, len(found), every):
        photo = read_photo(replace(view, image=take / "images" / view.camera.name / f"{frame + 1:04d}.jpg")).pixels
        picture, depth = shaded(camera, found[frame], triangles, colours)
        small = cv2.resize((photo * 255).astype(np.uint8), (TILE, TILE), interpolation=cv2.INTER_AREA)
        pair = small, wired(picture, depth, camera, found[frame], edges)
        columns.append(np.vstack([part[RIM // 3 : -RIM // 3, RIM:-RIM] for part in pair]))
    return np.hstack(columns)


def solved(output: Path, template: Template, true: dict[str, np.ndarray]) -> dict[str, float]:
    """The errors of a solved sequence; the truth's points are those where the key frame's vertices lie on it."""
    identity, curves, found = played(output)
    triangles = template.triangles_of("skin")
    hit = Target(true["vertices"][0], triangles).closest(identity.neutral)
    truth = np.einsum("nk,fnkd->fnd", hit.weights, true["vertices"][:, triangles[hit.face]])
    wrap = float(np.linalg.norm(identity.neutral - truth[0], axis=1)[identity.face].mean())
    names = list(identity.shape_names)
    weights = np.stack([curves["shapes"][name] for name in names], 1)
    known = {**true, "expression": true["expression"][:, [template.expression_names.index(name) for name in names]]}
    still = identity.follows & ~identity.face
    body = report(found, truth, identity.face, still, known, names, weights)
    if len(found[0]) == len(true["vertices"][0]):  # the same topology
        error = np.linalg.norm(found - true["vertices"], axis=2)
        body["vertex_to_vertex_mm"] = round(float(error[:, identity.face].mean()), 4)
    body |= drifted(Texels(identity, true["vertices"][0], triangles).drift(found, true["vertices"]))
    return {"key_frame_mm": round(wrap, 4), "interpolated": len(curves["interpolated"])} | body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--template", default="hm08")
    parser.add_argument("--output", type=Path, default=None, help="of `python -m bridge sequence`: only measure it")
    parser.add_argument("--sheet", type=Path, default=None, help="also a picture of every tenth frame of --output")
    options = parser.parse_args()
    template = load_template(options.template)
    if options.sheet is not None:
        Image.fromarray(sheet(options.folder, options.output, 10)).save(options.sheet, quality=85)
    with np.load(options.folder / "truth.npz") as stored:
        true = {name: stored[name].astype(np.float64) for name in stored.files}
    if options.output is not None:
        print(json.dumps(solved(options.output, template, true), indent=1))
        return
    source = open_source(options.folder / "rig", options.folder / "images")
    landmarker = Landmarker(need(LANDMARKS))
    import tempfile

    found, weights, seconds = [], [], []
    with tempfile.TemporaryDirectory() as work:
        tracker = None
        for f, frame in enumerate(source.frames):
            inputs = read_inputs(source.place(frame.number, Path(work) / str(f)))
            pictures = [photo.pixels for photo in inputs.photos]
            if tracker is None:
                tracker = Tracker(perfect(template, true["vertices"][0], inputs, landmarker), landmarker)
                tracker.track(inputs.cameras, pictures)  # compiled
            began, cpu = time.perf_counter(), time.process_time()
            tracked = tracker.track(inputs.cameras, pictures)
            seconds.append((time.perf_counter() - began, time.process_time() - cpu))
            found.append(placed(tracker.identity, tracked.pose, tracked.detail))
            weights.append(tracked.pose.expression)
            face = tracker.identity.face
            model = placed(tracker.identity, tracked.pose)
            errors = [np.linalg.norm(points - true["vertices"][f], axis=1)[face] for points in (model, found[-1])]
            print(
                f"{f}: model {errors[0].mean():.3f} mm, all {errors[1].mean():.3f} mm (95 %: "
                f"{np.quantile(errors[1], 0.95):.3f}), look {tracked.error:.3f}, {seconds[-1][0]:.2f} s, "
                f"CPU {seconds[-1][1]:.2f} s",
                flush=True,
            )
    assert tracker is not None
    identity = tracker.identity
    still = identity.follows & ~identity.face
    names = list(identity.shape_names)
    body = report(np.stack(found), true["vertices"], identity.face, still, true, names, np.stack(weights))
    texels = Texels(identity, true["vertices"][0], template.triangles_of("skin"))
    print(json.dumps(body | drifted(texels.drift(np.stack(found), true["vertices"])), indent=1))


if __name__ == "__main__":
    main()
