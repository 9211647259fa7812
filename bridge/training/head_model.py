"""python -m bridge train-head-model: the statistical head that one, two or three photographs lean on.

Sources: ICT's identities (MIT), VALID avatars (MIT), MakeHuman's people of all ages (CC0), each in the topology hm08
(registered.py). Their covariances are pooled with fixed shares, then principal components are taken (Turk and Pentland
1991). Hair is the hull of the avatars' surfaces beyond their skulls, along rays from the middle of the head.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from ..files import atomic
from ..head.canonical import similarity
from ..head.landmarks import NOSE_TIP, Landmarker
from ..mesh.distance import sample_surface
from ..model import Template, head_model, ict
from ..model.head_model import HeadModel
from ..model.load import load_template
from ..model.package import LANDMARKS, need
from ..model.template import kept
from ..wrap.fit import inverse
from ..wrap.regions import find_regions
from ..wrap.scan import Scan
from .models import HELD_OUT, load_avatar
from .registered import avatar_scan, carried, register

MODES, HAIR_MODES = 80, 8
SHARES = {"makehuman": 0.35, "ict": 0.35, "avatars": 0.3}  # of the pooled covariance
NECK_SHARE = 0.3  # of a neck's vertex, whose folds and tilt are not worth modes
EYE_SHARE = 0.1
LOWEST = -35.0  # degrees below the head's middle: further down hulls are shoulders
HULL_CELLS = (60, 120)  # elevation, azimuth: 3 degrees
MOST_HAIR_MM = 120.0
NOSE_AT = (0.0, -43.0, 122.0)  # mm: the canonical frame of the network and of training/subject.py


@dataclass(frozen=True, eq=False)
class Person:
    """A registered avatar: vertices in hm08's frame, laid on the mean head; its outer surface there."""

    name: str
    vertices: np.ndarray  # [V, 3]
    scan: Scan
    size: float  # millimetres of one of hm08's


def main(argv: list[str]) -> int:
    """Train the statistical head model from a data folder and write it, with its check on people held out."""
    parser = argparse.ArgumentParser(prog="python -m bridge train-head-model", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of ict_facekit.npz and training_heads/")
    parser.add_argument("--work", type=Path, default=Path("runs/head"), help="registrations kept (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=head_model.FILE, help="the model (default: the shipped)")
    options = parser.parse_args(argv)
    hm08 = load_template("hm08")
    options.work.mkdir(parents=True, exist_ok=True)
    people = registered_avatars(hm08, options.data / "training_heads", options.work)
    face_kit = ict.load(options.data / ict.FILE)
    lying = kept_array(options.work / "ict.npy", lambda: on_ict(hm08, face_kit))
    model, table = train(hm08, face_kit, lying, people)
    head_model.save(options.output, model)
    print(f"Wrote {options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    print(table)
    return 0


def registered_avatars(hm08: Template, folder: Path, work: Path) -> list[Person]:
    """Every avatar on hm08; those registered before are read from the work folder."""
    landmarker = Landmarker(need(LANDMARKS))
    people = []
    for path in sorted(p.parent for p in folder.glob("*/head.json")):
        place = work / f"{path.name}.npz"
        if not place.is_file():
            scan = avatar_scan(load_avatar(path), landmarker)
            if scan is None:
                print(f"{path.name}: no face found, left out")
                continue
            vertices, done = register(hm08, scan)
            local = scan.moved(inverse(done.pose))
            with atomic(place) as temporary, temporary.open("wb") as file:
                outside = local.faces[(local.confidence > 0)[local.faces].any(1)]
                np.savez(file, vertices=vertices, scan=local.vertices, faces=outside, size=done.pose.scale)
            print(f"{path.name}: {done.quality.distance_median:.2f} mm in the middle", flush=True)
        with np.load(place, allow_pickle=False) as stored:
            count = len(stored["scan"])
            scan = Scan(stored["scan"], stored["faces"], np.ones(count), np.empty((0, 3)), np.empty(0))
            people.append(Person(path.name, stored["vertices"], scan, float(stored["size"])))
    return people


def on_ict(hm08: Template, face_kit: Template) -> np.ndarray:  # [V, 3]
    """hm08 wrapped onto ICT's neutral, in ICT's frame."""
    regions = find_regions(face_kit)
    shown = regions.exposed | face_kit.of_part("eye_left", "eye_right")
    triangles = face_kit.triangles_of("skin", "eye_left", "eye_right")
    marks = face_kit.landmarks
    assert marks is not None  # find_regions needs them
    scan = Scan(
        face_kit.vertices, triangles[shown[triangles].all(1)], np.ones(len(face_kit.vertices)),
        marks.points(face_kit.vertices), marks.spread,
    )  # fmt: skip
    vertices, done = register(hm08, scan)
    return done.pose.points(vertices)


def kept_array(path: Path, make) -> np.ndarray:
    """An array that is made once and kept in a file."""
    if not path.is_file():
        np.save(path, make())
    return np.load(path, allow_pickle=False)


def train(hm08: Template, face_kit: Template, lying: np.ndarray, people: list[Person]) -> tuple[HeadModel, str]:
    """The model, and a Markdown table of what it leaves of people held out, beside ICT's own modes."""
    regions = find_regions(hm08)
    judged = (regions.exposed & ~regions.neck) | hm08.of_part("eye_left", "eye_right")
    trained = [person for person in people if person.name not in HELD_OUT]
    held_out = [person for person in people if person.name in HELD_OUT]
    _, ict_modes, there = carried(hm08, face_kit, lying)
    ict_modes = spread_out(hm08.vertices, ict_modes, there | (ict_modes != 0).any((0, 2)))
    mean = hm08.vertices
    for _ in range(2):  # everybody is laid on the mean, and the mean made of everybody
        avatars = np.stack([laid(person.vertices, mean, judged)[0] for person in trained])
        makehuman = laid(hm08.vertices, mean, judged)[0]
        kit, pose = laid(lying, mean, judged)
        mean = (
            SHARES["makehuman"] * makehuman + SHARES["ict"] * kit + SHARES["avatars"] * avatars.mean(0)
        )  # fmt: skip
    turned = ict_modes @ (pose.scale * pose.rotation.T)
    rows = [
        np.sqrt(SHARES["makehuman"]) * without_pose(hm08.identity.astype(np.float64), mean, judged),
        np.sqrt(SHARES["ict"]) * without_pose(turned, mean, judged),
        np.sqrt(SHARES["avatars"] / len(avatars)) * (avatars - avatars.mean(0)),
    ]
    middles = {"makehuman": makehuman, "ict": kit, "avatars": avatars.mean(0)}
    rows.append(np.stack([np.sqrt(SHARES[name]) * (middle - mean) for name, middle in middles.items()]))
    share = np.where(regions.neck, NECK_SHARE, 1.0) * np.where(regions.exposed, 1.0, 0.1)
    share = np.where(hm08.of_part("eye_left", "eye_right"), EYE_SHARE, share)
    share = np.where(hm08.of_part("skin", "eye_left", "eye_right"), share, 0.0)
    modes = components(np.concatenate(rows), share, MODES)
    tested = [laid(person.vertices, mean, judged)[0] for person in held_out]
    table = check_table(tested, regions, judged, {
        "ours": (mean, modes),
        "ICT's modes": (kit, np.asarray(turned)),
        "MakeHuman's": (makehuman, hm08.identity.astype(np.float64)),
    })  # fmt: skip
    left = [projected(shape, mean, modes, judged) - shape for shape in tested]
    residual = np.sqrt(np.mean([(error**2).sum(1) for error in left], axis=0))
    hull, hair, scalp = hair_of(trained, mean, hm08, regions, judged)
    marks = {name: getattr(regions, name) for name in ("exposed", "face", "ears", "neck")} | {"scalp": scalp}
    # hm08's millimetres are not those of people: ICT's are, and the avatars' nearly
    true = np.mean([1 / pose.scale, np.median([size_of(person, mean, judged) for person in trained])])
    assert hm08.landmarks is not None
    mean = mean - hm08.landmarks.points(mean)[NOSE_TIP] + np.array(NOSE_AT) / true
    everything = replace(
        hm08, vertices=true * mean, identity=(true * modes).astype(np.float32), expressions=true * hm08.expressions,
        regions=marks,
    )  # fmt: skip
    template = kept(everything, hm08.of_part("skin", "eye_left", "eye_right"), "head model")
    keep = np.flatnonzero(hm08.of_part("skin", "eye_left", "eye_right"))
    model = HeadModel(template, true * hull[keep], true * hair[:, keep], (true * residual[keep]).astype(np.float32))
    return model, f"{table}\n\nMillimetres of one of hm08's: ICT {1 / pose.scale:.3f}, used {true:.3f}"


def laid(shape: np.ndarray, mean: np.ndarray, judged: np.ndarray):
    """A shape [V, 3] on the mean by the similarity of the judged vertices, and that similarity."""
    found = similarity(shape[judged], mean[judged])
    assert found is not None  # a head is no line
    return found.apply(shape), found


def size_of(person: Person, mean: np.ndarray, judged: np.ndarray) -> float:
    """Millimetres of one unit of the mean, by this person."""
    return person.size / laid(person.vertices, mean, judged)[1].scale


def without_pose(modes: np.ndarray, mean: np.ndarray, judged: np.ndarray) -> np.ndarray:  # [k, V, 3]
    """Modes without what is a motion or a change of size of the judged vertices."""
    count = len(mean)
    local = mean - mean[judged].mean(0)
    moves = [np.broadcast_to(axis, (count, 3)) for axis in np.eye(3)]
    moves += [np.cross(axis, local) for axis in np.eye(3)] + [local]
    basis = np.stack(moves).reshape(7, -1)
    inside = np.repeat(judged, 3)
    flat = modes.reshape(len(modes), -1)
    q = np.linalg.lstsq(basis[:, inside].T, flat[:, inside].T, rcond=None)[0]
    return (flat - q.T @ basis).reshape(modes.shape)


def components(rows: np.ndarray, share: np.ndarray, count: int) -> np.ndarray:  # [n, V, d], [V] -> [count, V, d]
    """Principal components, each of one standard deviation, of the covariance sum of rows; share weighs vertices."""
    flat = rows.reshape(len(rows), -1)
    weighed = flat * np.repeat(np.sqrt(share), rows.shape[2])
    values, vectors = np.linalg.eigh(weighed @ weighed.T)
    best = np.argsort(values)[::-1][:count]
    return (vectors[:, best].T @ flat).reshape(count, *rows.shape[1:])


def projected(shape: np.ndarray, mean: np.ndarray, modes: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """The person of the model nearest to a shape, over the judged vertices; coefficients held a little."""
    inside = np.repeat(judged, 3)
    A = modes.reshape(len(modes), -1)[:, inside]
    b = (shape - mean).reshape(-1)[inside]
    theta = np.linalg.solve(A @ A.T + 1.0 * np.eye(len(A)), A @ b)
    return mean + np.tensordot(theta, modes, 1)


def check_table(tested: list[np.ndarray], regions, judged: np.ndarray, bases: dict) -> str:
    """Mean distance in mm, vertex to vertex, that bases of growing size leave of people they were not made of."""
    lines = ["| modes | " + " | ".join(f"{name}, face / head" for name in bases) + " |", "|---|" + "---|" * len(bases)]
    face = judged & regions.face
    for count in (0, 10, 20, 40, 80):
        cells = []
        for mean, modes in bases.values():
            errors = []
            for shape in tested:
                shape = laid(shape, mean, judged)[0]
                near = projected(shape, mean, modes[:count], judged) if count else mean
                gap = np.linalg.norm(near - shape, axis=1)
                errors.append((gap[face].mean(), gap[judged].mean()))
            cells.append("{:.2f} / {:.2f}".format(*np.mean(errors, axis=0)))
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread_out(points: np.ndarray, modes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Modes [k, V, 3] where they are not known: those of the nearest vertices where they are."""
    far, near = cKDTree(points[known]).query(points[~known], 12)
    weight = np.exp(-(((far - far[:, :1]) / 10.0) ** 2))
    weight /= weight.sum(1, keepdims=True)
    result = modes.astype(np.float64).copy()
    result[:, ~known] = np.einsum("nq,knqd->knd", weight, result[:, known][:, near])
    return result


def hair_of(
    people: list[Person], mean: np.ndarray, hm08: Template, regions, judged: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # [V, 3], [h, V, 3] float32, [V] bool
    """The usual hull of hair beyond the skull, its modes, and where it may be."""
    center = middle_of(mean, judged)
    rays = mean - center
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    elevation = np.degrees(np.arcsin(rays[:, 1]))
    scalp = regions.exposed & ~regions.face & ~regions.ears & (elevation > LOWEST)
    taper = np.clip((elevation - LOWEST) / 15.0, 0, 1) * scalp
    skin = hm08.triangles_of("skin")
    edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    stands = []
    for person in people:
        placed, pose = laid(person.vertices, mean, judged)
        own = radii(placed, skin, center)
        outer = radii(pose.apply(person.scan.vertices), person.scan.faces, center)
        beyond = np.clip(at(outer, rays) - at(own, rays), 0, MOST_HAIR_MM) * taper
        stands.append(smoothed(beyond, edges, scalp, 6))
    values = np.stack(stands)
    usual = values.mean(0)
    modes = components(((values - usual) / np.sqrt(len(values)))[..., None], scalp.astype(float), HAIR_MODES)[..., 0]
    return (usual[:, None] * rays).astype(np.float32), (modes[..., None] * rays).astype(np.float32), scalp


def middle_of(mean: np.ndarray, judged: np.ndarray) -> np.ndarray:  # [3]
    """Where the rays of the hull start."""
    return (mean[judged].min(0) + mean[judged].max(0)) / 2


def radii(vertices: np.ndarray, faces: np.ndarray, center: np.ndarray) -> np.ndarray:  # HULL_CELLS
    """The outermost distance from the centre in every direction; where a cell is empty, that of its neighbours."""
    points, _ = sample_surface(vertices, np.ascontiguousarray(faces, np.int32), 400_000, 0)
    row, column, far = cells(points - center)
    grid = np.zeros(HULL_CELLS)
    np.maximum.at(grid, (row, column), far)
    around = maximum_filter(grid, 3, mode=("nearest", "wrap"))
    return gaussian_filter(np.where(grid > 0, grid, around), 0.7, mode=("nearest", "wrap"))


def cells(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row (elevation), column (azimuth) and length of vectors [n, 3]."""
    far = np.linalg.norm(offsets, axis=1)
    rows, columns = HULL_CELLS
    row = (np.arcsin(offsets[:, 1] / np.maximum(far, 1e-9)) / np.pi + 0.5) * rows
    column = (np.arctan2(offsets[:, 0], offsets[:, 2]) / (2 * np.pi) + 0.5) * columns
    return np.clip(row.astype(int), 0, rows - 1), column.astype(int) % columns, far


def at(grid: np.ndarray, rays: np.ndarray) -> np.ndarray:  # [n]
    """The grid's values in the directions of rays [n, 3]."""
    row, column, _ = cells(rays)
    return grid[row, column]


def smoothed(values: np.ndarray, edges: np.ndarray, where: np.ndarray, rounds: int) -> np.ndarray:  # [V]
    """Half way to the neighbours' mean, again and again."""
    count = np.bincount(edges.ravel(), minlength=len(values))
    for _ in range(rounds):
        total = np.bincount(edges[:, 0], values[edges[:, 1]], len(values))
        total += np.bincount(edges[:, 1], values[edges[:, 0]], len(values))
        values = np.where(where, 0.5 * values + 0.5 * total / np.maximum(count, 1), values)
    return values
