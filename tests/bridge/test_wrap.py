"""A template wrapped onto people of known topology: every vertex has a true place."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bridge.capture.cameras import Similarity
from bridge.errors import BridgeError
from bridge.head.canonical import similarity
from bridge.job import wrap as job
from bridge.mesh.closest import Target, face_normals
from bridge.mesh.distance import distances
from bridge.mesh.intersections import intersecting_faces
from bridge.mesh.relax import relaxed
from bridge.model.load import load_template
from bridge.model.package import HM08, find
from bridge.service.dummy import sphere
from bridge.wrap.fit import fit, pose_of
from bridge.wrap.landmark_maps import LOWER_INNER, UPPER_INNER
from bridge.wrap.parts import balls
from bridge.wrap.regions import find_regions, lip_pairs, rigid_bodies
from bridge.wrap.scan import Scan
from bridge.wrap.shapes import transfer
from bridge.wrap.skin import looks_like_skin
from bridge.wrap.wrap import Wrapped, wrap

WORLD = Similarity(0.01, np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]), np.array([5.0, -3, 2]))


@pytest.fixture(scope="module")
def template():
    if find(HM08) is None:
        pytest.skip("MakeHuman's data are not here: python -m bridge weights hm08")
    return load_template("hm08")


def scan_of(template, shape: np.ndarray, rng: np.random.Generator, hair: bool = False) -> Scan:
    """The outside of a person in another world, with landmarks as exact as photographs give them."""
    regions = find_regions(template)
    shown = regions.exposed | template.of_part("eye_left", "eye_right")
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    triangles = triangles[shown[triangles].all(1)]
    marks = template.landmarks.points(shape) + rng.normal(0, 1.5, (468, 3))
    outside, bare = shape.copy(), np.ones(len(shape))
    if hair:  # a bun, which has another colour than skin
        middle = shape[regions.skin].mean(0)
        back = regions.exposed & ~regions.face & ~regions.ears & ~regions.neck
        out = shape - middle
        far = np.clip(-out[:, 2] / 60, 0, 1) * np.clip((shape[:, 1] - middle[1]) / 40, 0, 1)
        bare = np.where(back & (far > 0), 0.02, 1.0)
        outside += np.where(back, far, 0)[:, None] * 25 * out / np.linalg.norm(out, axis=1, keepdims=True)
    sure, sigma = np.ones(len(shape)), np.full(468, 0.015)
    return Scan(WORLD.points(outside), triangles, sure, WORLD.points(marks), sigma, bare)


def person(template, rng: np.random.Generator) -> np.ndarray:
    return template.vertices + np.tensordot(rng.normal(0, 0.8, len(template.identity)), template.identity, 1)


@pytest.fixture(scope="module")
def wrapped(template) -> tuple[Wrapped, np.ndarray]:
    rng = np.random.default_rng(7)
    shape = person(template, rng)
    return wrap(template, scan_of(template, shape, rng)), WORLD.points(shape)


def test_every_vertex_comes_to_its_true_place(wrapped):
    done, true = wrapped
    error = np.linalg.norm(done.vertices - true, axis=1) * 100  # millimetres
    assert error[done.regions.face].mean() < 0.6
    assert np.quantile(error[done.regions.face], 0.95) < 2.0
    assert error[done.regions.ears & done.regions.exposed].mean() < 1.5
    marks = done.template.landmarks
    assert np.linalg.norm(marks.points(done.vertices) - marks.points(true), axis=1).mean() * 100 < 1.0


def test_it_is_sound(wrapped):
    done, true = wrapped
    quality = done.quality
    assert quality.flipped == 0 and quality.crossing == 0
    assert quality.conformal_p99 < 2.5
    assert quality.distance_median < 0.1
    eye = done.template.of_part("eye_left")
    assert np.linalg.norm(done.vertices[eye] - true[eye], axis=1).mean() * 100 < 2.0  # eyeballs are not seen whole


def test_lids_close_and_jaws_take_teeth_along(wrapped):
    done, _ = wrapped
    template = done.template
    names = list(template.expression_names)
    assert np.isfinite(done.shapes).all()
    size = np.linalg.norm(done.shapes, axis=2).max(1) * 100
    assert (size > 0.5).all(), names[int(size.argmin())]
    for side, ball in zip(("Left", "Right"), balls(template, done.vertices)):
        blink = done.vertices + done.shapes[names.index(f"eyeBlink{side}")]
        own = np.linalg.norm(template.expressions[names.index(f"eyeBlink{side}")], axis=1)
        sign = 1 if side == "Left" else -1
        lids = done.regions.lids & (sign * template.vertices[:, 0] > 0)
        assert (np.linalg.norm(blink[lids] - ball.center, axis=1) > ball.radius - 1e-6).sum() >= lids.sum() - 3
        upper, lower = np.flatnonzero(lids & (own > 2)), np.flatnonzero(lids & (own <= 2))
        gap = np.linalg.norm(blink[upper][:, None] - blink[lower][None], axis=2).min(1)
        assert (np.sort(gap)[:12] * 100 < 0.3).all()
    opened = done.shapes[names.index("jawOpen")] * 100
    assert np.linalg.norm(opened[template.of_part("teeth_lower")], axis=1).min() > 5
    assert np.linalg.norm(opened[template.of_part("teeth_upper")], axis=1).max() < 0.5


def test_shapes_on_the_template_itself_are_its_own(template):
    regions = find_regions(template)
    still = {name: Similarity(1.0, np.eye(3), np.zeros(3)) for name in ("eye_left", "teeth_lower")}
    found = transfer(template, regions, template.vertices, still, balls(template, template.vertices))
    off = np.linalg.norm(found - template.expressions, axis=2)[:, regions.skin]
    blinks = np.array([name.startswith("eyeBlink") for name in template.expression_names])  # they are closed
    assert off[~blinks].mean() < 0.02 and off[~blinks].max() < 1.0


def test_hair_bends_neither_face_nor_skull(template):
    rng = np.random.default_rng(3)
    shape = person(template, rng)
    scan = scan_of(template, shape, rng, hair=True)
    done = wrap(template, scan)
    error = np.linalg.norm(done.vertices - WORLD.points(shape), axis=1) * 100
    scalp = done.regions.exposed & ~done.regions.face & ~done.regions.ears & ~done.regions.neck
    pushed = np.linalg.norm(scan.vertices - WORLD.points(shape), axis=1) * 100
    assert pushed[scalp].max() > 20
    assert error[done.regions.face].mean() < 0.8
    assert error[done.regions.ears].mean() < 2.0
    off = distances(done.vertices[scalp], WORLD.points(shape), template.triangles_of("skin")) * 100
    assert off.mean() < 2.0 and off.max() < 10  # of a bun of more than 20 mm


def test_a_collar_bends_neither_face_nor_neck(template):
    """A scarf that stands 20 mm off the neck and 12 mm under the chin, of another colour than skin."""
    rng = np.random.default_rng(11)
    shape = person(template, rng)
    scan = scan_of(template, shape, rng)
    regions = find_regions(template)
    middle = shape[regions.neck].mean(0)
    out = (shape - middle) * [1, 0, 1]
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    dressed = shape + 20 * regions.neck[:, None] * out
    bare = np.where(regions.neck, 0.02, 1.0)
    dressed_scan = replace(scan, vertices=WORLD.points(dressed), bare=bare)
    plain, worn = (wrap(template, one).vertices for one in (scan, dressed_scan))
    off = np.linalg.norm(worn - plain, axis=1) * 100  # millimetres
    assert off[regions.face].mean() < 0.3
    assert off[regions.neck & regions.exposed].mean() < 4.0  # of 20


def test_rigid_regions_keep_their_shape(template, wrapped):
    rng = np.random.default_rng(7)
    shape = person(template, rng)
    regions = find_regions(template)
    done = wrap(template, scan_of(template, shape, rng), rigid=["ears"])
    bodies = rigid_bodies(template, regions, ["ears"])
    assert len(bodies) == 2
    for ear in bodies:
        before = done.fitted.vertices[ear]
        found = similarity(before, done.vertices[ear])
        assert np.linalg.norm(found.apply(before) - done.vertices[ear], axis=1).max() * 100 < 1e-3
    assert done.quality.flipped == done.quality.crossing == 0
    free = wrapped[0]
    face = regions.face
    assert np.linalg.norm(done.vertices - free.vertices, axis=1)[face].mean() * 100 < 0.3
    with pytest.raises(BridgeError, match="has no region 'horns'.*Choose from .*ears"):
        rigid_bodies(template, regions, ["horns"])


def test_a_mouth_that_stands_wide_open_is_followed(template):
    """Landmarks of a shout lie up to 15 mm too high on the chin, as MediaPipe has them."""
    rng = np.random.default_rng(3)
    opened = template.expressions[template.expression_names.index("jawOpen")]
    shape = person(template, rng) + 0.8 * opened
    scan = scan_of(template, shape, rng)
    moved = np.linalg.norm(
        np.einsum("nk,nkd->nd", template.landmarks.weights, opened[template.landmarks.corners]), axis=1
    )
    scan.landmarks[:] += WORLD.scale * WORLD.rotation @ [0, 1, 0] * (0.35 * moved)[:, None]
    done = wrap(template, scan)
    error = np.linalg.norm(done.vertices - WORLD.points(shape), axis=1) * 100
    assert done.fitted.expression[template.expression_names.index("jawOpen")] > 0.6
    assert error[done.regions.lips & done.regions.face].mean() < 2.5


def test_a_landmark_that_a_hand_has_set_is_where_the_hand_set_it(template):
    """4 mm above where the template would have it: the corner of the mouth, which the surface hardly tells."""
    rng = np.random.default_rng(5)
    shape = person(template, rng)
    scan = scan_of(template, shape, rng)
    free = wrap(template, scan)
    number, marks = 61, template.landmarks
    wanted = marks.points(free.vertices)[number] + WORLD.scale * WORLD.rotation @ [0, 4.0, 0]
    scan.landmarks[number], scan.sigma[number] = wanted, 0.0
    done = wrap(template, scan)
    off = [np.linalg.norm(marks.points(one.vertices)[number] - wanted) * 100 for one in (free, done)]
    assert off[0] > 3.5 and off[1] < 1.0
    assert done.quality.flipped == 0


def test_each_lip_has_its_own_landmarks(template):
    """Those of the lower lip go down with the jaw, those of the upper lip do not."""
    marks = template.landmarks
    opened = template.expressions[template.expression_names.index("jawOpen")].astype(float)
    moved = np.linalg.norm(np.einsum("nk,nkd->nd", marks.weights, opened[marks.corners]), axis=1)
    assert moved[list(LOWER_INNER[2:7])].min() > 25 and moved[list(UPPER_INNER[2:7])].max() < 10


def test_what_has_the_colour_of_the_face_is_skin():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (4000, 3))
    hair = points[:, 2] < 0
    skin = np.array([0.8, 0.6, 0.5]) * rng.uniform(0.85, 1.1, (4000, 1))  # light and shade
    color = np.where(hair[:, None], np.array([0.2, 0.12, 0.08]), skin) + rng.normal(0, 0.02, (4000, 3))
    marks = points[~hair][:300]
    found = looks_like_skin(points, color, np.ones(4000, bool), marks)
    assert np.median(found[~hair]) > 0.8 and (found[~hair] > 0.3).mean() > 0.95
    assert (found[hair] < 0.1).mean() > 0.95  # less where hair and skin meet
    grey = np.full((4000, 3), 0.6)  # a statue
    assert (looks_like_skin(points, grey, np.ones(4000, bool), marks) == 1).all()


def test_a_mirrored_head_and_one_without_landmarks_are_named(template):
    rng = np.random.default_rng(0)
    scan = scan_of(template, template.vertices, rng)
    mirrored = Scan(scan.vertices, scan.faces, scan.confidence, scan.landmarks * [-1, 1, 1], scan.sigma)
    with pytest.raises(BridgeError) as caught:
        pose_of(template, mirrored)
    assert caught.value.code == "landmarks-mirrored" and "left" in caught.value.sentence
    blind = Scan(scan.vertices, scan.faces, scan.confidence, scan.landmarks, np.full(468, np.inf))
    with pytest.raises(BridgeError) as caught:
        fit(template, find_regions(template), blind)
    assert caught.value.code == "landmarks-none" and caught.value.cure


def test_regions_and_lips(template):
    regions = find_regions(template)
    assert not (regions.face & regions.neck).any()
    assert (regions.ears.sum(), regions.lips.sum(), regions.lids.sum()) > (100, 100, 100)
    pairs = lip_pairs(template, regions)
    assert len(pairs) > 15
    above = template.vertices[pairs[:, 0], 1] - template.vertices[pairs[:, 1], 1]
    assert (above > -1.5).all()


def test_picked_landmarks_are_read_and_a_bad_file_is_named(tmp_path):
    path = tmp_path / "picked.json"
    path.write_text(json.dumps({"landmarks": {"1": [1, 2, 3], "152": [0, 0, 1]}}))
    found = job.read_picked(path)
    assert found.known.sum() == 2 and (found.points[1] == [1, 2, 3]).all()
    path.write_text(json.dumps({"landmarks": {"1": [1, 2, 3], "152": [0, 0, 1]}, "sigma": {"152": 0.5}}))
    assert list(job.read_picked(path).sigma[[1, 152]]) == [0.0, 0.5]  # a hand's, and one that was only found
    path.write_text('{"landmarks": {"999": [1, 2, 3]}}')
    with pytest.raises(BridgeError, match="picked.json"):
        job.read_picked(path)


def test_closest_points_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    vertices, faces = (np.array(x) for x in sphere(10, (0, 0, 0), 1.0))
    points = rng.normal(size=(200, 3))
    hit = Target(vertices, faces).closest(points)
    assert hit.distance == pytest.approx(distances(points, vertices.astype(float), faces.astype(np.int32)))
    there = hit.of(vertices, faces)
    assert np.linalg.norm(there - points, axis=1) == pytest.approx(hit.distance)
    normals = -points / np.linalg.norm(points, axis=1, keepdims=True)  # only the far side looks that way
    planes = face_normals(vertices, faces)
    far = Target(vertices, faces).closest(points, normals, planes, 0.5)
    assert ((planes[far.face] * normals).sum(1)[np.isfinite(far.distance)] >= 0.5).all()
    assert (far.distance > hit.distance).all()
    near = Target(vertices, faces).closest(points, normals, planes, 0.5, reach=0.1)
    assert np.isinf(near.distance).sum() > 150


def test_crossing_faces_are_mended():
    x, y = np.meshgrid(np.arange(12.0), np.arange(12.0), indexing="ij")
    flat = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(11), np.arange(11), indexing="ij"))
    a = i * 12 + j
    triangles = np.concatenate([np.stack([a, a + 12, a + 13], 1), np.stack([a, a + 13, a + 1], 1)]).astype(np.int32)
    torn = flat * 3 + [0, 0, 5]
    torn[[65, 66, 67, 77, 78, 79]] += np.random.default_rng(0).normal(0, 4, (6, 3))
    assert intersecting_faces(torn, triangles).any()
    mended = relaxed(torn, flat, triangles, np.ones(len(triangles), bool))
    assert not intersecting_faces(mended, triangles).any()
    assert np.abs(mended - (flat * 3 + [0, 0, 5])).max() < 1.5
