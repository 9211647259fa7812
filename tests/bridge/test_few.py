"""One to five photographs: the model's head laid on them, and a whole head carved with it.

The people are drawn from the model itself and photographed by our own rasteriser; landmarks come from the true points,
so that no package is needed. A mirrored face, a factor of ten and a flipped normal would each show here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from bridge.capture.cameras import Camera, Similarity
from bridge.capture.framing import HeadFrame
from bridge.capture.normal_map import NormalMap
from bridge.head.landmarks import COUNT, Face
from bridge.job import photo, prior, wrap
from bridge.job.runner import JobRunner
from bridge.job.stages import LAY, STAGES
from bridge.mesh import Mesh
from bridge.mesh.distance import distances
from bridge.model import head_model
from bridge.prior.covered import covered_shares
from bridge.prior.evidence import SIZE, View
from bridge.prior.fit import fit
from bridge.prior.prior import MOST_VIEWS, Prior, know
from bridge.prior.start import start
from bridge.prior.virtual import closed, seen_shares, virtual_targets, without_body
from bridge.raster import make_rasteriser
from bridge.service.protocol import Error, JobSettings, Run
from bridge.service.wire import Control
from bridge.solve import Solver, SolveSettings, Target
from bridge.solve.targets import make_targets
from bridge.texture import vertex_colors
from tests.support import synthetic

WIDTH, HEIGHT = 320, 400
UNIT_MM = 10.0  # the world is in centimetres, turned and far from its origin
WORLD = Similarity(0.1, np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]), np.array([50.0, -30, 20]))


@pytest.fixture(scope="module")
def model():
    return head_model.load()


@pytest.fixture(scope="module")
def person(model) -> np.ndarray:  # [V, 3] mm
    rng = np.random.default_rng(5)
    template = model.template
    shape = template.vertices + model.hull + np.tensordot(rng.normal(0, 1, 80), template.identity, 1)
    shape += np.tensordot(rng.normal(0, 0.7, len(model.hair)), model.hair, 1)
    return shape


def camera(yaw: float, away: float = 900.0, focal: float = 900.0, up: float = 0.05) -> Camera:
    """Around the model's head, in its frame."""
    out = np.array([np.sin(yaw), up, np.cos(yaw)])
    out /= np.linalg.norm(out)
    x = np.cross([0, 1.0, 0], out)
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(-out, x), -out])
    K = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1.0]])
    return Camera(f"yaw{yaw:.1f}", K, R, -R @ (away * out), WIDTH, HEIGHT)


def seen(model, shape: np.ndarray, local: Camera, world: Similarity) -> tuple[NormalMap, Face]:
    """What the network and the landmark model would say at their best: normals with 5 degrees of noise, points with
    1.5 pixels."""
    rng = np.random.default_rng(1)
    template = model.template
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    render = make_rasteriser("cpu", [local]).render(shape, triangles)
    inside = render.triangle[0] >= 0
    normals = local.normals_from_world(render.normals[0]) + rng.normal(0, 0.06, (*inside.shape, 3)) * inside[..., None]
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    matte = inside.astype(np.float32)
    pixels, depth = local.project(template.landmarks.points(shape))
    points = np.concatenate([pixels + rng.normal(0, 1.5, (COUNT, 2)), depth[:, None]], 1)
    out = template.landmarks.points(shape) - shape.mean(0)
    frontal = np.clip((out / np.linalg.norm(out, axis=1, keepdims=True)) @ -local.R[2], 0, 1)
    return NormalMap(world.camera(local), normals.astype(np.float32), matte, matte), Face(points, 1.0, frontal)


def laid(model, person: np.ndarray, yaws: tuple[float, ...]):
    shots = [seen(model, person, camera(yaw), WORLD) for yaw in yaws]
    views = [View.of(found, face, WIDTH) for found, face in shots]
    pose = start(model.template, [view.camera for view in views], [view.face for view in views], UNIT_MM)
    assert pose is not None
    return fit(model, views, pose, UNIT_MM), shots


@pytest.fixture(scope="module")
def fitted(model, person):
    """Laid on three views."""
    return laid(model, person, (0.0, 0.8, -0.8))[0]


def errors(model, fitted, person: np.ndarray) -> tuple[float, float]:
    """Mean mm of the face and of all that is not neck, vertex to vertex, in the world."""
    off = np.linalg.norm(fitted.pose.points(fitted.vertices) - WORLD.points(person), axis=1) * UNIT_MM
    regions = model.template.regions
    return float(off[regions["face"]].mean()), float(off[regions["exposed"] & ~regions["neck"]].mean())


def test_three_views_give_pose_size_and_person(model, person):
    fitted, _ = laid(model, person, (0.0, 0.8, -0.8))
    face, head = errors(model, fitted, person)
    assert face < 1.5 and head < 4.0
    assert fitted.pose.scale * UNIT_MM == pytest.approx(1, abs=0.03)  # ten times too large would show
    assert np.degrees(np.arccos((np.trace(fitted.pose.rotation @ WORLD.rotation.T) - 1) / 2)) < 2
    mean = np.linalg.norm(model.template.vertices - person, axis=1)
    assert face < 0.6 * mean[model.template.regions["face"]].mean()


def test_one_view_gives_the_shape_up_to_its_distance(model, person):
    fitted, _ = laid(model, person, (0.0,))
    off = fitted.vertices - person
    face = model.template.regions["face"]
    off -= off[face].mean(0)
    assert np.linalg.norm(off[face], axis=1).mean() < 3.0
    assert 0.9 < fitted.pose.scale * UNIT_MM < 1.1
    assert (fitted.pose.rotation @ [0, 0, 1.0]) @ (WORLD.rotation @ [0, 0, 1.0]) > 0.99  # it looks at the camera
    unseen = model.template.regions["scalp"] & (model.template.vertices[:, 2] < -40)
    assert fitted.sigma[unseen].mean() > 1.2 * fitted.sigma[face].mean()


def test_left_and_right_are_not_exchanged(model, person):
    """A face with one cheek out: the fit puts it on the subject's left."""
    template = model.template
    odd = template.vertices + model.hull
    rows = template.identity
    lopsided = (rows - rows[:, template.mirror] * [-1, 1, 1]).reshape(len(rows), -1)
    mode = int((lopsided**2).sum(1).argmax())
    odd = odd + 3 * rows[mode]
    fitted, _ = laid(model, odd, (0.0, 0.7))
    mirrored = odd[template.mirror] * [-1, 1, 1]
    face = template.regions["face"]
    right = np.linalg.norm(fitted.vertices - odd, axis=1)[face].mean()
    wrong = np.linalg.norm(fitted.vertices - mirrored, axis=1)[face].mean()
    assert right < wrong


def test_flipped_normals_make_it_worse(model, person):
    """The normals' term really pulls: with its sign turned the face ends elsewhere."""
    shots = [seen(model, person, camera(yaw), WORLD) for yaw in (0.0, 0.8)]
    found = []
    for sign in (1, -1):
        turned = [
            View.of(NormalMap(m.camera, m.normals * np.float32([sign, sign, 1]), m.matte, m.confidence), face, WIDTH)
            for m, face in shots
        ]
        pose = start(model.template, [v.camera for v in turned], [v.face for v in turned], UNIT_MM)
        found.append(errors(model, fit(model, turned, pose, UNIT_MM), person)[0])
    assert found[0] < found[1]


def test_no_face_is_nothing_to_lay_a_head_on(model, person):
    shot, _ = seen(model, person, camera(0.0), WORLD)
    assert know([shot], [None], [WIDTH], UNIT_MM) is None
    error = prior.no_face(("back.jpg",))
    assert error.code == "face-none" and "back.jpg" in error.sentence and error.cure


def from_aside(model, person: np.ndarray, yaw: float) -> NormalMap:
    """A view without landmarks but with the network's canonical points: those of the mean head, 4 mm off."""
    local, template = camera(yaw), model.template
    shot, _ = seen(model, person, local, WORLD)
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    named = make_rasteriser("cpu", [local]).render(person, triangles, template.vertices / 140).attributes[0]
    rng = np.random.default_rng(3)
    return replace(shot, canonical=(named + rng.normal(0, 0.03, named.shape)).astype(np.float32))


@pytest.mark.parametrize("yaw", [1.57, -1.57])
def test_a_profile_is_laid_by_the_networks_coordinates(model, person, yaw):
    """No landmarks: its pose and its outline are found all the same, and left is not right."""
    known = know([from_aside(model, person, yaw)], [None], [WIDTH], UNIT_MM)
    turned = known.fitted.pose.rotation @ WORLD.rotation.T
    assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) < 5
    off = known.fitted.vertices - person
    side = model.template.regions["exposed"] & (np.sign(person[:, 0]) == np.sign(yaw)) & ~model.template.regions["neck"]
    off -= off[side].mean(0)
    mean = model.template.vertices - person
    mean -= mean[side].mean(0)
    assert np.linalg.norm(off[side], axis=1).mean() < 0.8 * np.linalg.norm(mean[side], axis=1).mean()
    assert known.landmarks.views == () and np.isfinite(known.landmarks.points).all()


def test_what_shows_no_side_of_a_face_is_no_profile(model, person):
    """The back of a head; one that looks at the camera, whose landmarks would have been found; coordinates that no
    head has; a head whose coordinates lie about which way it looks."""
    behind, front, side = (from_aside(model, person, yaw) for yaw in (3.1, 0.1, 1.57))
    rng = np.random.default_rng(0)
    lost = replace(side, canonical=rng.uniform(-1, 1, side.canonical.shape).astype(np.float32))
    mirrored = replace(side, canonical=side.canonical * np.float32([1, -1, -1]))
    for shot in (behind, front, lost, mirrored):
        assert know([shot], [None], [WIDTH], UNIT_MM) is None


def test_a_small_photograph_is_refused_with_its_size():
    with pytest.raises(Exception, match="160 x 190") as raised:
        prior.large_enough("thumb.jpg", 160, 190)
    assert raised.value.code == "photo-small" and raised.value.cure
    prior.large_enough("fine.jpg", 200, 300)


def test_a_hand_before_the_face_is_said(model, person):
    """A patch of a tenth of the face that looks aside; a bare face with noisy normals says nothing."""
    fitted, ((shot, face),) = laid(model, person, (0.0,))
    view = View.of(shot, face, WIDTH)
    hidden = view.normals.copy()
    low, high = np.floor([face.points[:, :2].min(0), face.points[:, :2].max(0)]).astype(int) * SIZE // HEIGHT
    middle = (low + high) // 2
    patch = np.s_[middle[1] : high[1] - 8, low[0] + 8 : middle[0]]  # the lower left quarter of the face's box
    hidden[patch] = np.array([0.8, 0.0, 0.6]) * np.sign(hidden[middle[1], middle[0], 2])
    bare, behind = covered_shares(fitted, model, [view]) + covered_shares(
        fitted, model, [View(view.camera, face, view.matte, hidden, view.confidence)]
    )
    assert bare < 0.5 * prior.COVERED and behind > 2 * prior.COVERED
    (finding,) = prior.covering(["anna", "left"], [behind, bare])
    assert finding.code == "face-covered" and finding.views == ("anna",) and "'anna'" in finding.sentence
    assert prior.covering(["anna"], [bare]) == []


def test_one_photograph_pulls_a_template_as_much_as_two():
    """What the only photograph sees is sure; of several two must agree."""
    count = np.array([0, 1, 2, 3])
    np.testing.assert_allclose(wrap.sure(count, 1), [0, 1, 1, 1])
    np.testing.assert_allclose(wrap.sure(count, 10), [0, 0.5, 1, 1])


def test_two_faces_ask_whose_head_is_wanted():
    class Two:
        def count(self, pixels):
            return 2

    with pytest.raises(Exception, match="2 faces") as raised:
        prior.single(Two(), "couple.jpg", None)
    assert raised.value.code == "faces-several" and "Crop" in raised.value.cure


def test_the_models_say_falls_with_the_photographs_that_see_a_place(model, person):
    """Whole where none looks; on the nose a single photograph leaves half of it, several a tenth each."""
    fitted, shots = laid(model, person, (0.0, 0.4, -0.4))
    shares = seen_shares(fitted, model, [shot.matte for shot, _ in shots])
    nose = fitted.pose.points(fitted.vertices[None, fitted.vertices[:, 2].argmax()])
    front = WORLD.rotation @ [0, 0, 1.0]
    on_nose, behind = [], []
    for count in (1, 2, 3):
        targets = virtual_targets(fitted, model, shares[:count])
        targets.sort(key=lambda target: float(target.camera.forward @ front))
        ((x, y),) = np.floor(targets[0].camera.project(nose)[0]).astype(int)
        on_nose.append(float(targets[0].weight[y, x]))
        behind.append(float(np.median(targets[-1].weight[targets[-1].mask > 0])))
    np.testing.assert_allclose(on_nose, [0.5, 0.01, 0.001], rtol=0.5)
    assert min(behind) > 0.99


def test_the_models_neck_ends_in_a_lid(model, person):
    """Else nothing says how a head ends below, and its rim is ragged."""
    triangles = model.template.triangles_of("skin", "eye_left", "eye_right")
    mesh = trimesh.Trimesh(*closed(person, triangles), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert (mesh.face_normals[len(triangles) :, 1] < -0.5).all()


def test_photographs_fall_silent_below_the_chin(model, person):
    """Whatever they show there: the neck is the model's, shoulders are left out, the face is all theirs."""
    fitted, ((shot, _),) = laid(model, person, (0.4,))
    (target,) = make_targets([shot])
    found = without_body(target, fitted, model)
    chin = model.template.landmarks.points(fitted.vertices)[152]
    for down, counts in ((-20.0, 1.0), (60.0, 0.0)):
        ((x, y),) = np.floor(target.camera.project(fitted.pose.points(chin[None] - [0, down, 0]))[0]).astype(int)
        assert found.weight[y, x] == pytest.approx(counts * target.weight[y, x])
        assert found.mask_weight[y, x] == pytest.approx(counts)
    np.testing.assert_array_equal(found.mask, target.mask)


@pytest.mark.parametrize("yaw", [0.0, 0.8, 2.4])
@pytest.mark.parametrize("up", [0.05, 0.6, 1.2])
def test_a_shoulder_seen_past_the_head_says_nothing(model, person, fitted, yaw, up):
    """From above it stands beside a cheek, and a body is no part of the head that grows out of it; the head's own
    pixels above the chin count all the same."""
    marks = model.template.landmarks.points(person)
    local = camera(yaw, up=up)
    body = trimesh.creation.box((420.0, 200, 200), trimesh.transformations.translation_matrix(
        [0, marks[152, 1] - 140, person[model.template.regions["neck"], 2].mean()]))  # fmt: skip
    skin = model.template.triangles_of("skin")
    both = np.concatenate([person, body.vertices]), np.concatenate([skin, np.asarray(body.faces) + len(person)])
    alone, render = (make_rasteriser("cpu", [local]).render(*mesh) for mesh in ((person, skin), both))
    mask = (render.triangle[0] >= 0).astype(np.float32)
    target = Target(WORLD.camera(local), render.normals[0] @ WORLD.rotation.T.astype(np.float32), mask)
    found = without_body(target, fitted, model)
    bodily = render.triangle[0] >= len(skin)
    assert bodily.sum() > 1000
    assert (found.weight[bodily] > 0).mean() < 0.01
    heights = np.where(alone.triangle[0] >= 0, person[skin[alone.triangle[0]].max(-1), 1], -np.inf)
    head = ~bodily & (heights > marks[152, 1] + 5)
    assert (found.weight[head] == 1).mean() > 0.85  # but for a rim where the body may be behind


@pytest.mark.parametrize(("yaws", "told"), [((0.0, 0.8, -0.8), False), ((0.0, 0.8, -0.8, 0.4), False),
                                            ((0.0, 0.8, -0.8, 1.8), True)])  # fmt: skip
def test_either_the_photographs_tell_of_the_body_or_the_model_does(model, person, fitted, yaws, told):
    """Four from several sides show how deep a chest is; three, or a fan from the front, do not."""
    targets = make_targets([seen(model, person, camera(yaw), WORLD)[0] for yaw in yaws])
    own = virtual_targets(fitted, model, np.zeros((1, len(person))))
    known = Prior(fitted, np.zeros(len(person)), own, HeadFrame(np.zeros(3), 1.0, fitted.pose.rotation[:, 1]), None, [])
    low = fitted.vertices[model.template.regions["neck"]].mean(0) - [0, 30, 0]
    heard = []
    for target in known.evidence(targets):
        (pixel,) = target.camera.project(fitted.pose.points(low[None]))[0]
        x, y = np.clip(np.floor(pixel).astype(int), 0, (target.camera.width - 1, target.camera.height - 1))
        heard.append(target.mask_weight is None or bool(target.mask_weight[y, x] > 0))
    photographs, views = heard[: len(yaws)], heard[len(yaws) :]
    assert len(views) == len(own)
    low_views = views[4:]  # the first look down on the crown
    assert all(photographs) == told and any(photographs) == told and any(low_views) != told


def test_from_six_photographs_on_nothing_is_laid(tmp_path, monkeypatch):
    """The same head to the bit as without the stage, and no landmarks are asked for."""
    synthetic.write(tmp_path, views=MOST_VIEWS + 1, size=64)

    def never(job, tools):
        raise AssertionError("faces were looked for")

    monkeypatch.setattr(prior, "faces_of", never)
    heads = []
    for stages in (STAGES, [stage for stage in STAGES if stage is not LAY]):
        said: list = []
        output = tmp_path / f"out{len(heads)}"
        settings = JobSettings(preset="draft", normals="measured", steps=20, max_vertices=600, match=False)
        JobRunner(stages=stages).run(Run("six", str(tmp_path), str(output), settings), said.append, Control())
        assert not [message for message in said if isinstance(message, Error)]
        heads.append((output / "head.ply").read_bytes())
    assert heads[0] == heads[1]


def test_the_unseen_cheek_takes_the_colour_of_the_other(model):
    """From one side only: a red cheek is mirrored, and without the plane it is not."""
    template = model.template
    shape = template.vertices + model.hull
    triangles = np.ascontiguousarray(template.triangles_of("skin", "eye_left", "eye_right"), np.int32)
    cheek = np.exp(-(((np.abs(shape) - [50, 55, 75]) / 18) ** 2).sum(1))
    color = np.stack([0.4 + 0.6 * cheek, 0.4 - 0.4 * cheek, 0.4 - 0.4 * cheek], 1)
    turned = WORLD.points(shape)
    taker = camera(1.2)
    render = make_rasteriser("cpu", [taker]).render(shape, triangles, color)
    inside = render.triangle[0] >= 0
    photograph, mask = render.attributes[0].astype(np.float32), inside.astype(np.float32)
    frame = HeadFrame(turned.mean(0), 0.1 * 180, WORLD.rotation[:, 1])
    reds = []
    for across in (WORLD.rotation[:, 0], None):
        found = vertex_colors.blend(
            Mesh(turned, triangles), [photograph], [WORLD.camera(taker)], [mask], frame, across=across
        )  # fmt: skip
        far = (cheek > 0.7) & (shape[:, 0] < 0)  # the subject's right, which that camera does not see
        reds.append(float((found[far, 0].astype(float) - found[far, 1]).mean()))
    assert reds[0] > 100 and reds[1] < 0.6 * reds[0]


@pytest.mark.slow
def test_one_view_is_carved_into_a_whole_head(model, person):
    """Closed, on the model behind, and looking the right way: what the first photograph promises."""
    shot, face = seen(model, person, camera(0.0), WORLD)
    known = know([shot], [face], [WIDTH], UNIT_MM)
    share, sides = known.unseen
    assert 0.3 < share < 0.8 and "behind" in sides and "the front" not in sides
    settings = SolveSettings.preset("draft", steps=60, max_vertices=6000, mask_weight=4.0, laplacian=0.2, turns=False)
    solver = Solver([*make_targets([shot]), *known.targets], settings, known.frame)
    for _ in solver:
        pass
    mesh = solver.finish()
    shown = model.template.regions["exposed"] & ~model.template.regions["neck"]
    fitted = known.fitted.pose.points(known.fitted.vertices)[shown]
    off = distances(fitted, mesh.vertices, mesh.faces) * UNIT_MM
    assert np.median(off) < 1.5 and np.quantile(off, 0.95) < 8
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_cameras_of_photographs_are_found(model, person):
    """Distances, directions and, within the prior's means, lenses; the head upright in metres."""
    true = [camera(0.1, 800.0, 700.0), camera(0.9, 1000.0, 700.0)]
    faces = [seen(model, person, local, WORLD)[1] for local in true]
    start_ = [
        Camera(c.name, np.array([[700.0, 0, WIDTH / 2], [0, 700, HEIGHT / 2], [0, 0, 1]]), np.eye(3), np.zeros(3),
               WIDTH, HEIGHT)
        for c in true
    ]  # fmt: skip
    found, fitted = photo.place(start_, faces, [700.0, 700.0])
    for expected, made in zip(true, found, strict=True):
        there = photo.TO_WORLD.camera(expected)
        assert np.degrees(np.arccos(np.clip(made.forward @ there.forward, -1, 1))) < 8  # a nose up or a chin down
        assert np.linalg.norm(made.center) == pytest.approx(np.linalg.norm(there.center), rel=0.1)
        assert made.center[1] < 0  # before the face, which looks to -Y
        assert made.up[2] > 0.9
    between, should = (a.R @ b.R.T for a, b in (found, true))
    assert np.degrees(np.arccos((np.trace(between @ should.T) - 1) / 2)) < 5  # 3.3 with points 1.5 pixels off
    assert fitted.landmark_px < 0.02 * SIZE
    free, _ = photo.place(start_, faces, [None, None])
    assert all(0.4 < made.K[0, 0] / 700 < 2.5 for made in free)


@pytest.mark.parametrize(("focal", "away"), [(0.9, 500.0), (1.4, 800.0), (2.2, 1000.0)])
def test_a_lens_nobody_knows(model, person, focal, away):
    """An arm's length, a telephone's portrait, a photographer's: a face hardly tells them apart, habits bound them."""
    lens, usual = focal * HEIGHT, photo.FOCAL * HEIGHT
    face = seen(model, person, camera(0.1, away, lens), WORLD)[1]
    K = np.array([[usual, 0, WIDTH / 2], [0, usual, HEIGHT / 2], [0, 0, 1.0]])
    (found,), _ = photo.place([Camera("a", K, np.eye(3), np.zeros(3), WIDTH, HEIGHT)], [face], [None])
    assert 1 / 1.6 < found.K[0, 0] / lens < 1.6
    assert 1 / 1.6 < np.linalg.norm(found.center) * 1000 / away < 1.6
    assert np.linalg.norm(found.center) * 1000 / away == pytest.approx(found.K[0, 0] / lens, rel=0.15)  # same picture
