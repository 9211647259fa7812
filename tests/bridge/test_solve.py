"""The solver from images to mesh, on shapes with a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from bench.captures import load
from bridge.mesh import Surface
from bridge.mesh.intersections import intersecting_faces
from bridge.mesh.normals import vertex_normals
from bridge.mesh.remesh import HalfEdgeMesh
from bridge.mesh.topology import build_twins, icosphere
from bridge.solve import Solver, SolveSettings, Target, coverage, schedule, solver, warm_up
from bridge.solve.cleanup import clean_up, untangle
from bridge.solve.contacts import separate_self_contacts, separated_positions
from bridge.solve.motion import move
from bridge.solve.necks import cut_necks
from bridge.solve.optimise import EXTRA_COLUMNS, SEEN, Motion
from bridge.solve.resample import resample
from bridge.solve.targets import build_level, square_crop
from tests.bridge.scenes import bumpy, look_at, met_fronts, ring, targets_of
from tests.support import shared

SMALL = SolveSettings(steps=120, resolution=64, max_vertices=2000, raster="cpu")


def solve(targets, settings=SMALL, steps=None):
    solver = Solver(targets, settings)
    for progress in solver:
        if progress.done == steps:
            break
    return solver.finish()


def assert_valid(mesh):
    """Judged by trimesh, not by our own code."""
    judged = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert judged.is_watertight and judged.is_winding_consistent and judged.volume > 0
    assert judged.euler_number == 2
    assert np.isfinite(mesh.vertices).all()
    assert len(np.unique(np.sort(mesh.faces, 1), axis=0)) == len(mesh.faces)
    assert len(np.unique(mesh.faces)) == len(mesh.vertices)


def distance(mesh, vertices, faces):
    """Mean distance between the surfaces, both ways, by dense samples."""
    a = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), 20000, seed=1)[0]
    b = trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces, process=False), 20000, seed=2)[0]
    return (cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean()) / 2


@pytest.fixture(scope="module")
def subject():
    vertices, faces = bumpy(5)
    return vertices, faces, targets_of(vertices, faces, ring(8, width=96, height=96))


@pytest.fixture(scope="module")
def result(subject):
    return solve(subject[2])


def test_the_shape_is_found(subject, result):
    vertices, faces, _ = subject
    assert_valid(result)
    assert 1200 < len(result.vertices) <= 2000
    sampling = 0.009  # what the distance between two samplings of the same surface comes to
    assert distance(result, vertices, faces) < sampling + 0.005
    assert distance(result, vertices * [-1, 1, 1], faces) > 0.04  # the test can tell a mirrored result


def test_the_same_seed_gives_the_same_mesh(subject, result):
    again = solve(subject[2])
    assert (again.vertices == result.vertices).all() and (again.faces == result.faces).all()


@pytest.mark.parametrize(("scale", "offset"), [(1000.0, [0, 0, 0]), (1.0, [1e4, -1e4, 5e3]), (0.01, [3.0, 0, 0])])
def test_the_worlds_scale_and_origin_do_not_matter(subject, result, scale, offset):
    targets = [
        Target(target.camera.transformed(scale, np.eye(3), np.array(offset)), target.normals, target.mask)
        for target in subject[2]
    ]
    moved = solve(targets)
    assert_valid(moved)
    back = (moved.vertices - offset) / scale
    assert distance(trimesh.Trimesh(back, moved.faces), result.vertices, result.faces) < 0.016


def test_the_worlds_turn_does_not_matter(subject, result):
    turn = Rotation.from_rotvec([0.4, -1.2, 0.8]).as_matrix()
    targets = [
        Target(t.camera.transformed(1.0, turn, np.zeros(3)), (t.normals @ turn.T).astype(np.float32), t.mask)
        for t in subject[2]
    ]
    given, turned = (Solver(each, SMALL) for each in (subject[2], targets))
    there, here = (build_level(each, run.frame, 48, 0.0) for each, run in ((subject[2], given), (targets, turned)))
    for ours, theirs in zip(here.cameras, there.cameras, strict=True):  # what the solver sees is the same
        np.testing.assert_allclose(ours.R, theirs.R, atol=1e-9)
        np.testing.assert_allclose(ours.t, theirs.t, atol=1e-9)
    for name, values in vars(here.images).items():
        np.testing.assert_allclose(values, getattr(there.images, name), atol=1e-5)
    mesh = solve(targets)
    assert distance(trimesh.Trimesh(mesh.vertices @ turn, mesh.faces), result.vertices, result.faces) < 0.016


def test_odd_cameras(subject):
    """fx != fy, principal points far off centre, sizes that differ between views."""
    vertices, faces, _ = subject
    places = [(0, 10), (60, -20), (120, 15), (180, -10), (240, 20), (300, 70)]
    cameras = [
        look_at(
            azimuth,
            elevation,
            width=90 + 8 * i,
            height=120 - 6 * i,
            fy_ratio=1.25 - 0.07 * i,
            focal=1.3,
            shift=(18 - 5 * i, -12 + 4 * i),
        )
        for i, (azimuth, elevation) in enumerate(places)
    ]
    mesh = solve(targets_of(vertices, faces, cameras))
    assert_valid(mesh)
    assert distance(mesh, vertices, faces) < 0.026


@pytest.mark.parametrize("loss", ["linear", "l1", "robust"])
def test_every_loss_finds_the_shape(subject, loss):
    vertices, faces, targets = subject
    mesh = solve(targets, SolveSettings(120, 64, 2000, loss=loss, laplacian=0.1, raster="cpu"))
    assert_valid(mesh)
    assert distance(mesh, vertices, faces) < 0.025


def test_stopping_at_any_time_gives_a_valid_mesh(subject):
    solver = Solver(subject[2], SMALL)
    for progress in solver:
        if progress.done in (1, 7, 37, 80):
            assert_valid(solver.mesh())
        if progress.done == 80:
            break
    assert progress.total == 120
    assert_valid(solver.finish())
    assert_valid(Solver(subject[2], SMALL).finish())


def test_limits_are_honoured(subject):
    mesh = solve(subject[2], SolveSettings(80, 64, 700, raster="cpu"))
    assert 400 < len(mesh.vertices) <= 700
    coarse = solve(subject[2], SolveSettings(80, 64, 20_000, min_edge=0.12, raster="cpu"))
    edges = coarse.vertices[coarse.faces] - coarse.vertices[np.roll(coarse.faces, -1, 1)]
    assert np.linalg.norm(edges, axis=2).mean() > 0.09


def test_a_head_cut_by_the_frame_is_not_pushed_inside(subject):
    """The lower third lies outside every image: what is visible must be as good, and not pulled to the border."""
    vertices, faces, _ = subject
    cameras = [camera.crop(0, 0, 96, 62) for camera in ring(8, width=96, height=96)[:7]]
    mesh = solve(targets_of(vertices, faces, cameras))
    assert_valid(mesh)
    top = vertices[:, 1] > 0.2
    surface = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), 40000, seed=1)[0]
    assert cKDTree(surface).query(vertices[top])[0].mean() < 0.015


def test_noise_is_averaged_over_the_views(subject):
    vertices, faces, targets = subject
    rng = np.random.default_rng(0)
    noisy = []
    for target in targets:
        normals = target.normals + rng.normal(size=target.normals.shape) * 0.25  # about 20 degrees
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        noisy.append(Target(target.camera, normals.astype(np.float32), target.mask))
    mesh = solve(noisy)
    assert_valid(mesh)
    assert distance(mesh, vertices, faces) < 0.022


def test_outlines_that_contradict_the_normals_leave_no_seam(subject):
    """Normals that are steeper in every view than in the next, and exact outlines: the surface has to give way broadly.
    Where it bends sharply between two faces some view's outline lies."""
    flat = []
    for target in subject[2]:
        normals = target.normals + 0.35 * target.camera.R[2]  # away from the camera
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        flat.append(Target(target.camera, normals.astype(np.float32), target.mask))

    def sharp(diffusion: int) -> float:
        mesh = solve(flat, replace(SMALL, mask_weight=4.0, laplacian=0.8, diffusion=diffusion, relief=0.0))
        assert_valid(mesh)
        angles = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).face_adjacency_angles
        return float((np.degrees(angles) > 15).mean())

    plain, diffused = sharp(0), sharp(12)
    assert plain > 0.02 and diffused < 0.1 * plain


def test_coverage_knows_what_was_seen(subject):
    vertices, faces, targets = subject
    seen = coverage(trimesh.Trimesh(vertices, faces, process=False), targets)
    assert seen.view_count.max() >= 3 and seen.confidence.max() <= 1
    bottom, front = vertices[:, 1] < -0.93, vertices[:, 1] > 0.5
    assert seen.confidence[front].mean() > 0.6 > seen.confidence[bottom].mean()
    one = coverage(trimesh.Trimesh(vertices, faces, process=False), targets[:1])
    camera = targets[0].camera
    away = (vertices * (camera.center / np.linalg.norm(camera.center))).sum(1) < -0.2
    assert (one.view_count[away] == 0).all() and (one.confidence[away] == 0).all()
    assert 0.25 < (one.view_count > 0).mean() < 0.5


def test_resampling_moves_nothing():
    """A ramp stays the same ramp in pixel coordinates whatever the window: half pixels are in the right place."""
    y, x = np.mgrid[0:40, 0:60] + 0.5
    maps = np.stack([x, y], -1).astype(np.float32)
    for x0, y0, side, size in [(0, 0, 40, 40), (3.3, 5.1, 30.0, 10), (10.0, 8.0, 16.0, 64), (20.5, -8, 48, 24)]:
        result, inside = resample(maps, x0, y0, side, size)
        expected = (np.mgrid[0:size, 0:size] + 0.5) * side / size
        whole = inside > 0
        assert (
            np.abs(result[..., 0] - (expected[1] + x0))[whole].max()
            < 0.51 * max(1, side / size) - 0.5 * min(1, side / size) + 1e-3
        )
        assert abs((result[..., 0] - (expected[1] + x0))[whole].mean()) < 0.02
        assert abs((result[..., 1] - (expected[0] + y0))[whole].mean()) < 0.02
    assert (inside.sum(0) == 0).any() or (inside.sum(1) == 0).any()


def test_crops_stay_inside_the_image():
    x, y, side = square_crop(np.array([0.0, 61, 512, 512]), 512, 512)
    assert (x, y, side) == (0, 0, 512)
    x, y, side = square_crop(np.array([100.0, 100, 150, 200]), 512, 512)
    assert x > 0 and y > 0 and side == pytest.approx(112) and x + side / 2 == pytest.approx(125)
    x, y, side = square_crop(np.array([0.0, 0, 40, 100]), 40, 100)
    assert side == 100 and x == -30


def test_a_level_keeps_the_cameras_true(subject):
    """A world point projects to the same place of the head in the crop as in the image."""
    from bridge.capture.framing import head_frame

    targets = subject[2]
    frame = head_frame([t.camera for t in targets], np.stack([t.box() for t in targets]))
    level = build_level(targets, frame, 48, 0.0)
    point = np.array([[0.3, 0.2, 0.1]])
    local = (point - frame.center) / frame.radius
    for target, camera in zip(targets, level.cameras, strict=True):
        x, y, side = square_crop(target.box(), 96, 96)
        expected = (target.camera.project(point)[0] - [x, y]) * 48 / side
        np.testing.assert_allclose(camera.project(local)[0], expected, atol=1e-6)


def test_bad_settings_and_targets_are_refused(subject):
    with pytest.raises(ValueError, match="unknown preset"):
        SolveSettings.preset("huge")
    with pytest.raises(ValueError, match="unknown loss"):
        SolveSettings(loss="l3")
    with pytest.raises(ValueError, match="mask_weight"):
        SolveSettings(loss="linear", mask_weight=0.0)
    with pytest.raises(ValueError, match="fewer than 2"):
        Solver([Target(t.camera, t.normals, np.zeros_like(t.mask)) for t in subject[2]], SMALL)
    with pytest.raises(ValueError, match="normals is"):
        Target(subject[2][0].camera, np.zeros((4, 4, 3), np.float32), subject[2][0].mask)


def test_clean_up_pulls_faces_apart_and_smooths_only_what_no_view_saw(subject):
    vertices, faces, _ = subject
    torn = vertices.copy()
    torn[500] *= 0.3  # a spike through its neighbours' other side
    torn[501] *= 1.4
    rough = torn[:, 1] < -0.6
    torn[rough] += np.random.default_rng(0).normal(size=(rough.sum(), 3)) * 0.03
    assert intersecting_faces(torn, faces).any()
    result, kept_faces = clean_up(Surface.of(torn, faces), np.where(rough, 0.0, 1.0))
    assert np.array_equal(kept_faces, faces)
    assert not intersecting_faces(result, faces).any()
    kept = vertices[:, 1] > -0.4
    assert (np.abs(result - torn)[kept].max(1) > 1e-6).sum() < 0.05 * kept.sum()
    normals = lambda v: trimesh.Trimesh(v, faces, process=False).face_adjacency_angles  # noqa: E731
    below = trimesh.Trimesh(torn, faces, process=False).face_adjacency
    below = rough[faces[below]].all((1, 2))
    assert normals(result)[below].mean() < 0.3 * normals(torn)[below].mean()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    thickness=st.floats(0.02, 0.9),
    spikes=st.integers(0, 30),
    passed=st.floats(0, 0.06),
    noise=st.floats(0, 0.01),
)
def test_any_tangle_is_undone(seed, thickness, spikes, passed, noise):
    """Spikes, noise, and the sides of a thin disc that have passed each other: no face crosses afterwards, and what was
    sound and far from a tangle has not moved."""
    rng = np.random.default_rng(seed)
    vertices, faces = bumpy(4, seed)
    vertices = vertices * [1, thickness, 1] + rng.normal(size=vertices.shape) * noise
    patch = np.linalg.norm(vertices[:, [0, 2]] - rng.uniform(-0.4, 0.4, 2), axis=1) < 0.2
    vertices[patch, 1] -= np.sign(vertices[patch, 1]) * (np.abs(vertices[patch, 1]) * (thickness < 0.1) + passed / 4)
    vertices[rng.choice(len(vertices), spikes, replace=False)] *= rng.uniform(0.5, 1.5, (spikes, 1))
    surface = Surface.of(vertices, faces)
    surface = replace(surface, vertices=vertices.copy())
    before = intersecting_faces(vertices, faces)
    assert untangle(surface) == 0
    assert not intersecting_faces(surface.vertices, faces).any()
    moved = np.abs(surface.vertices - vertices).max(1) > 0
    assert moved.any() == before.any()
    if before.any():
        tangled = vertices[np.unique(faces[before])]
        assert cKDTree(tangled).query(vertices[moved])[0].max() < 0.6
        assert moved.sum() < 20 * len(tangled) + 200


@pytest.mark.parametrize(("passed", "turns"), [(0.01, 2), (0.03, 3), (0.05, 4)])
def test_fronts_that_have_met_are_drawn_apart(passed, turns):
    """The sides of a thin disc, moved past each other in a spot: the less, the sooner, and nothing far away moves."""
    vertices, faces, spot = met_fronts(passed)
    surface = Surface.of(vertices, faces)
    before = surface.vertices.copy()
    assert intersecting_faces(before, faces).sum() > 40
    for _ in range(turns):
        if separated := separated_positions(surface):
            chosen, places = separated
            surface.vertices[chosen] = places
    assert separated_positions(surface) is None
    moved = (surface.vertices != before).any(1)
    assert cKDTree(before[spot]).query(before[moved])[0].max() < 0.2


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_what_is_drawn_apart_keeps_all_but_its_place(passes):
    vertices, faces, _ = met_fronts(0.03)
    mesh = HalfEdgeMesh(vertices, faces, 0.03, EXTRA_COLUMNS)
    for _ in range(passes):
        mesh.remesh(12_000)
    chosen, places = separated_positions(mesh.surface())
    rows, faces = mesh.data.copy(), mesh.faces.copy()
    rows[chosen, :3] = places
    separate_self_contacts(mesh)
    np.testing.assert_array_equal(mesh.data, rows)
    np.testing.assert_array_equal(mesh.faces, faces)
    mesh.remesh(12_000)
    assert (build_twins(mesh.faces, mesh.vertex_count) >= 0).all()


@pytest.mark.slow
def test_lips_and_lids_do_not_grow_through_each_other(monkeypatch):
    """A real subject with slits: without looks for self-contacts, its raw meshes hold 60 to 600 such faces."""
    subject = load(shared("data", "captures", "valid_wf2"))
    found = {}
    for every in (solver.SEPARATE_EVERY, 10**6):
        monkeypatch.setattr(solver, "SEPARATE_EVERY", every)
        run = Solver(subject.targets, SolveSettings.preset("draft"), subject.frame)
        meshes = (run.mesh() for progress in run if progress.done % 30 == 0)
        found[every] = sum(int(intersecting_faces(mesh.vertices, mesh.faces).sum()) for mesh in meshes)
    separated, left = found.values()
    assert left > 60 and separated < 0.3 * left


def threaded(rings, seed):
    """A ball from which a thread of triangles hangs, crumpled, with a bulb at its end."""
    vertices, faces = icosphere(4)
    root, faces = faces[0], faces[1:]
    middle, rng = vertices[root].mean(0), np.random.default_rng(seed)
    points, more, ring = [vertices], [], root
    for k in range(rings):
        above = (len(vertices) + 3 * k + np.arange(3)).astype(np.int32)
        width = 0.3 + np.exp(-(((k - rings + 4) / 2) ** 2))
        crumpled = rng.normal(size=(3, 3)) * 0.08
        points.append(middle * (1.05 + 0.05 * k) + width * (vertices[root] - middle) + crumpled)
        for e in range(3):
            a, b, c, d = ring[e], ring[(e + 1) % 3], above[e], above[(e + 1) % 3]
            more += [[a, b, d], [a, d, c]]
        ring = above
    return np.concatenate(points), np.concatenate([faces, [*more, list(ring)]]).astype(np.int32)


@pytest.mark.parametrize("seed", range(4))
def test_a_thread_that_no_smoothing_sorts_out_is_cut_off(seed):
    vertices, faces = threaded(30, seed)
    result, kept = clean_up(Surface.of(vertices, faces), np.ones(len(vertices)))
    assert not intersecting_faces(result, kept).any()
    assert (build_twins(kept, len(result)) >= 0).all() and len(result) - len(kept) // 2 == 2
    assert np.array_equal(np.unique(kept), np.arange(len(result)))
    root = vertices[2562:].mean(0) / np.linalg.norm(vertices[2562:].mean(0))
    far = np.linalg.norm(vertices[:2562] - root, axis=1) > 0.6
    assert cKDTree(result).query(vertices[:2562][far])[0].max() < 1e-6


def test_what_hangs_by_three_edges_is_cut_off_where_it_is_small():
    vertices, faces = threaded(30, 0)
    surface = Surface.of(vertices, faces)
    tangled = np.zeros(len(faces), bool)
    assert cut_necks(surface, tangled) is None
    tangled[-1] = True  # only the tip: the necks beside it count, the root's does not
    assert 2562 + 60 < len(cut_necks(surface, tangled).vertices) < len(vertices)
    tangled[:] = True
    assert len(cut_necks(surface, tangled).vertices) == 2562  # at the root, all of it at once
    ball = Surface.of(*icosphere(3))
    assert cut_necks(ball, np.ones(len(ball.faces), bool)) is None


def test_the_solve_ends_when_nothing_improves():
    falling = [1 / (1 + 0.01 * i) for i in range(200)]
    assert not schedule.has_converged(falling, 100)
    assert schedule.has_converged([*falling[:140], *[0.4] * 60], 100)
    assert not schedule.has_converged([0.4] * 150, 100)


@pytest.mark.slow  # half a minute, and many on a busy machine
def test_steps_that_are_not_needed_are_left_out_but_the_rate_falls_all_the_same(subject, monkeypatch):
    """At a high rate the loss stands still where the length of the steps leaves it: what ends there is rough."""
    rates, plain = [], schedule.learning_rate

    def recorded(*arguments):
        rates.append(plain(*arguments))
        return rates[-1]

    monkeypatch.setattr(schedule, "learning_rate", recorded)
    losses = {}
    for steps in (120, 900):
        rates.clear()
        work = list(Solver(subject[2], replace(SMALL, steps=steps)))
        losses[steps] = np.mean([progress.loss for progress in work[-10:]])
        assert rates[-1] < 1.1 * schedule.USUAL.decay_to * rates[10]
        assert [progress.work for progress in work] == sorted(progress.work for progress in work)
        assert work[-1].done == work[-1].total == len(work) and work[-1].work == pytest.approx(1)
    assert len(work) < 850 and work[0].total == 900
    assert losses[900] < 1.05 * losses[120]


def test_images_are_no_finer_than_the_maps(subject):
    """96 pixels hold no more when they are drawn as 512."""
    for asked, taken in ((512, 96), (48, 48)):
        work = Solver(subject[2], replace(SMALL, resolution=asked, steps=1))
        assert work.settings.resolution == taken


def test_warm_up_runs_everything():
    assert warm_up() > 0
    vertices, faces = icosphere(1)
    assert len(vertices) == 42 and len(faces) == 80


@pytest.mark.parametrize("size", [1e-6, 1e-3])
def test_smoothing_does_not_outweigh_a_gradient_however_weak(size):
    """Few views see a shoulder: its gradient is small, and must bring it to its place all the same."""
    vertices, faces = bumpy(4)
    mesh = HalfEdgeMesh(vertices, faces, 0.05, EXTRA_COLUMNS)
    mesh.data[:, SEEN] = 1
    outward = vertex_normals(vertices, faces).astype(np.float32)
    for step in range(1, 4):
        move(mesh, mesh.surface(), size * outward, Motion(step, 0.5, 0.05, 2, 0, 0.0, 3000, 0.05, 0.05))
    inward = -((mesh.data[:, :3] - vertices) * outward).sum(1)
    way = 0.5 * 0.05 * (0.2 + 0.4 + 0.6)  # the rate grows over the first steps
    assert np.abs(inward / way - 1).max() < 0.3 and np.abs(inward / way - 1).mean() < 0.05


def test_less_smoothing_than_usual_leaves_more_of_what_the_normals_say(subject):
    """Normals with noise in every pixel: the user's weight counts all the way down to 0."""
    rng = np.random.default_rng(0)
    noisy = []
    for target in subject[2]:
        normals = target.normals + 0.3 * rng.normal(size=target.normals.shape) * (target.mask > 0)[..., None]
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        noisy.append(Target(target.camera, (normals * (target.mask > 0)[..., None]).astype(np.float32), target.mask))
    rough = []
    for weight in (0.05, 0.02, 0.0):
        mesh = solve(noisy, replace(SMALL, laplacian=weight))
        rough.append(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).face_adjacency_angles.mean())
    assert 1.2 * rough[0] < rough[1] and 1.4 * rough[1] < rough[2], rough  # with the whole share at 0: 1.13 and 1.06


@pytest.mark.parametrize("preset", ["draft", "standard", "fine"])
def test_work_grows_from_nothing_to_all(preset):
    settings = SolveSettings.preset(preset)
    done = [schedule.work(settings, 10, step / 100) for step in range(101)]
    assert done[0] == 0 and done[-1] == pytest.approx(1) and (np.diff(done) > 0).all()
    assert done[50] < 0.4  # few vertices and small images first
