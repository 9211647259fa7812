"""python -m bench.network --data DIR: the normal network judged, as the tables of its model card.

DIR of the data holds ict_facekit.npz, training_heads/ and captures/ (valid_wf2, marble_bust, nefertiti).

Nothing measured here was trained on: other seeds and held-out avatars of the generator, and captures of other heads.
--against: weights of the twin without attention across views (train --alone), for the ablation.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import trimesh

from bridge.capture.cameras import Camera
from bridge.capture.images import resize_map
from bridge.capture.inputs import Inputs, measured_map, read_inputs
from bridge.capture.normal_map import NormalMap
from bridge.normals import WEIGHTS
from bridge.normals.multiview import MultiViewPredictor, _ProgressCounter
from bridge.normals.warp import HeadView
from bridge.raster import make_rasteriser
from bridge.training.group import CANONICAL_RANGE, World, make_group
from bridge.training.staging import head_focal
from bridge.training.validation import VALIDATION_SEED

SIZE = 512  # pixels of every judged map
CAPTURES = ("valid_wf2", "marble_bust", "nefertiti")


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


def summary(angles: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(angles.mean()),
        "median": float(np.median(angles)),
        "below_10": float(100 * (angles < 10).mean()),
    }


def similarity_error(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Rotation in degrees and scale in % of the robust similarity between two point sets [N, 3] that should agree."""
    keep = np.ones(len(found), bool)
    for _ in range(5):  # trimmed: the better 70 % decide
        matrix, _, _ = trimesh.registration.procrustes(found[keep], true[keep], reflection=False)
        apart = np.linalg.norm(found @ matrix[:3, :3].T + matrix[:3, 3] - true, axis=1)
        keep = apart <= np.quantile(apart, 0.7)
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    turn = matrix[:3, :3] / scale
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))), float(100 * abs(scale - 1))


def head_views(group: dict[str, np.ndarray]) -> list[HeadView]:
    """Views of a generated group: the camera that took it is a head camera already."""
    views = []
    for R, distance in zip(group["rotation"].astype(float), group["distance"].astype(float), strict=True):
        focal = head_focal(distance)
        K = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1.0]])
        head = Camera("head", K, R, np.array([0, 0, distance]), 1, 1)
        views.append(HeadView(head.resize(SIZE, SIZE), head, distance))
    return views


def judge_group(predictor: MultiViewPredictor, group: dict[str, np.ndarray], alone: bool) -> dict[str, np.ndarray]:
    """Angles, canonical distances and mask areas of one generated head."""
    views, images = head_views(group), group["image"].astype(np.float32) / 255
    picked = [[i] for i in range(len(views))] if alone else [list(range(len(views)))]
    outputs = []
    for some in picked:
        steps = _ProgressCounter(lambda done, total: None, lambda: False)
        outputs += predictor.run([images[i] for i in some], [views[i] for i in some], predictor.record["input"], steps)
    angles, points, truths, areas = [], [], [], np.zeros(2)
    for i, output in enumerate(outputs):
        normal = resize_map(output["normal"], SIZE, SIZE)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        true = group["normal"][i].astype(np.float32)
        length = np.linalg.norm(true, axis=-1)
        head = (group["matte"][i] > 229) & (length > 60)
        angles.append(degrees(normal[head], true[head] / length[head][:, None]))
        points.append(resize_map(output["canonical"], SIZE, SIZE)[head][::7])
        truths.append(group["canonical"][i][head][::7].astype(np.float32) * (CANONICAL_RANGE / 127))
        mine, theirs = resize_map(output["matte"], SIZE, SIZE) > 0.5, group["matte"][i] > 127
        areas += [(mine & theirs).sum(), (mine | theirs).sum()]
    return {
        "angles": np.concatenate(angles),
        "points": np.concatenate(points),
        "truths": np.concatenate(truths),
        "areas": areas,
    }


def judge_generated(predictor, worlds: dict[str, World], heads: int, views: int) -> dict[str, dict[str, float]]:
    table = {}
    for name, world in worlds.items():
        groups = [vars(make_group(VALIDATION_SEED + i, world, views, SIZE, oversample=1.0)) for i in range(heads)]
        for alone in (False, True):
            parts = [judge_group(predictor, g, alone) for g in groups]
            row = summary(np.concatenate([p["angles"] for p in parts]))
            if not alone:
                apart = np.concatenate([np.linalg.norm(p["points"] - p["truths"], axis=1) for p in parts])
                turn, scale = np.median([similarity_error(p["points"], p["truths"]) for p in parts], axis=0)
                areas = np.sum([p["areas"] for p in parts], axis=0)
                row |= {"iou": float(areas[0] / areas[1]), "canonical_pct": float(50 * np.median(apart))}
                row |= {"similarity_deg": float(turn), "similarity_scale_pct": float(scale)}
            table[f"{name}, {views} views" + (" each alone" if alone else "")] = row
    return table


def spread(maps: list[NormalMap], mesh: trimesh.Trimesh) -> float:
    """Mean angle in degrees between the world normals that views predict for one surface point and their mean."""
    cameras = [m.camera for m in maps]
    render = make_rasteriser("cpu", cameras).render(mesh.vertices, mesh.faces)
    total, count = np.zeros((len(mesh.vertices), 3)), np.zeros(len(mesh.vertices), int)
    samples = []
    for found, triangle in zip(maps, render.triangle, strict=True):
        seen = np.unique(mesh.faces[np.unique(triangle[triangle >= 0])])
        pixels, _ = found.camera.project(mesh.vertices[seen])
        x, y = np.floor(pixels).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < found.camera.width) & (y < found.camera.height)
        seen, x, y = seen[inside], x[inside], y[inside]
        normals = found.camera.normals_to_world(found.normals[y, x])
        good = np.linalg.norm(normals, axis=1) > 0.5
        samples.append((seen[good], normals[good]))
        np.add.at(total, seen[good], normals[good])
        np.add.at(count, seen[good], 1)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    return float(np.concatenate([degrees(n, total[v])[count[v] > 1] for v, n in samples]).mean())


def judge_capture(predictor, folder: Path) -> dict[str, dict[str, float]]:
    """A capture with measured normals: with its masks, without, and every view alone."""
    inputs: Inputs = read_inputs(folder)
    images, cameras = [p.pixels for p in inputs.photos], [p.camera for p in inputs.photos]
    truth = [measured_map(inputs, i) for i in range(len(images))]
    mesh = trimesh.load_mesh(folder / "gt_mesh.ply", process=False)
    nothing = [None] * len(images)
    cases = {
        "given masks": predictor.predict(images, cameras, inputs.given_masks, size=SIZE),
        "no masks": predictor.predict(images, cameras, nothing, size=SIZE),
        "each view alone, given masks": [
            predictor.predict([a], [c], [m], size=SIZE)[0]
            for a, c, m in zip(images, cameras, inputs.given_masks, strict=True)
        ],
    }
    table = {}
    for case, maps in cases.items():
        angles, areas = [], np.zeros(2)
        for found, true in zip(maps, truth, strict=True):
            h, w = found.matte.shape
            theirs = resize_map(true.matte, w, h) > 0.5
            normals = resize_map(true.normals, w, h)
            length = np.linalg.norm(normals, axis=-1)
            both = theirs & (length > 0.8) & (found.matte > 0.5)
            angles.append(degrees(normals[both] / length[both][:, None], found.normals[both]))
            areas += [((found.matte > 0.5) & theirs).sum(), ((found.matte > 0.5) | theirs).sum()]
        row = summary(np.concatenate(angles))
        row |= {"iou": float(areas[0] / areas[1])} if case == "no masks" else {}
        row |= {"spread": spread(maps, mesh)} if case != "no masks" else {}
        table[f"{folder.name}, {len(images)} views, {case}"] = row
    return table


def against_torch(weights: Path, predictor) -> float:
    """Largest angle in degrees between ONNX Runtime and PyTorch for the same weights and inputs."""
    import torch

    from bridge.normals.network import CONFIGS, NormalNetwork
    from bridge.training.restore import restore

    network = NormalNetwork(CONFIGS[predictor.record["size"]]).eval()
    restore(weights / "skullptor_small.json", network)
    rng, s, m = np.random.default_rng(0), predictor.record["input"], 6
    noise = rng.random((m, s // 8, s // 8, 3)).astype(np.float32)
    group = {"rotation": np.stack([trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]] * m)}
    group["distance"] = np.linspace(3, 8, m)
    views, steps = head_views(group), _ProgressCounter(lambda done, total: None, lambda: False)
    images = [resize_map(n, SIZE, SIZE) for n in noise]
    ours = predictor.run(images, views, s, steps)
    from bridge.normals.warp import quaternion, to_head

    x = np.stack([to_head(i, v, s) for i, v in zip(images, views, strict=True)])
    x[..., :3] -= 0.5
    q = torch.from_numpy(np.stack([quaternion(v.head.R) for v in views]))
    with torch.no_grad():
        out = network(torch.from_numpy(x.transpose(0, 3, 1, 2)), q, torch.tensor(group["distance"]).float(), m)
    theirs = out[:, :3].permute(0, 2, 3, 1).numpy()
    return max(float(degrees(o["normal"], t).max()) for o, t in zip(ours, theirs, strict=True))


def print_table(table: dict[str, dict[str, float]]) -> None:
    columns = list(dict.fromkeys(k for row in table.values() for k in row))
    print("| heads | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{row[k]:.3g}" if k in row else "-" for k in columns) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.network", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--against", type=Path, help="weights of the twin")
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    whole = World.load(args.data, held_out=True)
    worlds = {"unseen ICT heads": World(whole.ict, []), "held-out avatars": World(None, whole.avatars)}
    result = {}
    for title, weights in (("these weights", args.weights), ("the twin", args.against)):
        if weights is None:
            continue
        predictor = MultiViewPredictor(weights, "cpu")
        table = judge_generated(predictor, worlds, args.heads, args.views)
        for name in CAPTURES:
            if (args.data / "captures" / name).is_dir():
                table |= judge_capture(predictor, args.data / "captures" / name)
        print(f"\n{title}: {predictor.name}\n")
        print_table(table)
        print(f"\nONNX against PyTorch: at most {against_torch(weights, predictor):.2f} degrees")
        rng = np.random.default_rng(0)
        turns = [trimesh.transformations.rotation_matrix(a, [0, 1, 0])[:3, :3] for a in np.linspace(0, 5.6, 10)]
        group = {"rotation": np.stack(turns), "distance": np.full(10, 5.0)}
        images, cameras = list(rng.random((10, SIZE, SIZE, 3)).astype(np.float32)), [v.real for v in head_views(group)]
        began = time.perf_counter()
        predictor.predict(images, cameras, [np.ones((SIZE, SIZE), np.float32)] * 10, size=SIZE)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"10 views at 512 pixels: {time.perf_counter() - began:.1f} s; peak memory of this process {peak:.1f} GiB"
        )
        result[title] = table
    if args.json:
        args.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
