"""The surface to the last pixel: a textured ball whose surface is known, photographed by its own rays."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture.cameras import Camera  # noqa: E402
from bridge.capture.images import resize_map  # noqa: E402
from bridge.errors import Cancelled  # noqa: E402
from bridge.mesh import Mesh, Surface  # noqa: E402
from bridge.mesh.boxtree import BoxTree  # noqa: E402
from bridge.mesh.intersections import crossing_faces  # noqa: E402
from bridge.mesh.topology import build_twins, icosphere  # noqa: E402
from bridge.photometric import (  # noqa: E402
    Detail,
    Photographs,
    Watch,
    refine_surface,
    sight,  # noqa: E402
    smooth_unseen,
)
from bridge.photometric import pictures as pictures_module  # noqa: E402
from bridge.photometric.evidence import collect, partners_of  # noqa: E402
from bridge.photometric.pictures import Pictures, pixels_across  # noqa: E402
from bridge.photometric.refine import levels_for  # noqa: E402
from bridge.photometric.step import Bending, solve  # noqa: E402
from bridge.photometric.warp import warp  # noqa: E402
from tests.bridge.test_stereo import CENTER, FRAME, RADIUS, photograph, rig  # noqa: E402

PIXEL = 2 * RADIUS / 250  # of the first resolution, about


@functools.cache
def photographs(flat: bool = False) -> tuple[np.ndarray, ...]:
    return tuple(photograph(camera, flat) for camera in rig())


@functools.cache
def ball() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = icosphere(5)
    return vertices.astype(np.float64), faces


def bumpy(broad: float, rough: float, seed: int = 1) -> Mesh:
    """The ball with waves as long as a nose and with noise at every vertex, in pixels."""
    vertices, faces = ball()
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(12, 3)) * 6
    wave = np.sin(vertices @ waves.T + rng.uniform(0, 6, 12)).mean(1)
    off = broad * PIXEL * wave / np.abs(wave).max() + rough * PIXEL * rng.normal(size=len(vertices))
    return Mesh(CENTER + vertices * (RADIUS + off)[:, None], faces)


def distance(mesh: Mesh) -> np.ndarray:
    """From the ball, in pixels, outward positive; of what the ring of cameras sees well, without the poles."""
    away = mesh.vertices - CENTER
    belt = np.abs(away[:, 1]) < 0.6 * RADIUS
    return (np.linalg.norm(away[belt], axis=1) - RADIUS) / PIXEL


def refined(mesh: Mesh, photos=None, cameras=None, **options):
    photos = photographs() if photos is None else photos
    cameras = cameras or rig()
    taken = Photographs(photos, [None] * len(photos), cameras)
    return refine_surface(mesh, taken, FRAME, Detail(250, len(mesh.vertices)), Watch(**options))


def seen_through(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey values, their derivative and cosine of the second view in the pixels of the first, through a ball of that
    radius (head's frame) by its own rays."""
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, ball()[0])
    first, second = pictures.cameras[0], pictures.cameras[1]
    v, u = np.mgrid[: first.height, : first.width] + 0.5
    rays = first.rays(np.stack([u.ravel(), v.ravel()], 1))
    b = rays @ first.center
    root = b**2 - first.center @ first.center + radius**2
    points = first.center + rays * (-b - np.sqrt(np.maximum(root, 0)))[:, None]
    shape = (first.height, first.width)
    hit = (root > 0).reshape(shape)
    depth = np.where(hit, ((points - first.center) @ first.forward).reshape(shape), 0).astype(np.float32)
    normals = (points / radius).reshape(*shape, 3).astype(np.float32)
    everywhere = np.ones((second.height, second.width), np.uint8)
    far = np.full((second.height, second.width), 1e3, np.float32)
    P = second.K @ np.concatenate([second.R, second.t[:, None]], 1)
    values, change, cosine = (np.empty(shape, np.float32) for _ in range(3))
    back = first.R.T @ np.linalg.inv(first.K)
    warp(np.zeros(2, np.int64), depth, normals, hit.astype(np.uint8), back, first.center, pictures.grey[1],
         np.zeros(2, np.int64), far, everywhere, P, second.center, 1.0, 0.4, values, change, cosine)  # fmt: skip
    return values, change, cosine


def test_the_derivative_is_that_of_a_moving_surface():
    """Against finite differences: a mirrored, transposed or doubled term would show."""
    unit, small = RADIUS / FRAME.radius, 2e-5
    _, change, cosine = seen_through(unit)
    (before, _, seen), (after, _, also) = seen_through(unit - small), seen_through(unit + small)
    inside = (cosine > 0) & (seen > 0) & (also > 0)
    assert inside.sum() > 3000
    slope = (after[inside].astype(np.float64) - before[inside]) / (2 * small)
    assert np.corrcoef(slope, change[inside])[0, 1] > 0.995
    assert np.polyfit(change[inside], slope, 1)[0] == pytest.approx(1, abs=0.02)


def test_photographs_ask_for_the_way_back_to_the_surface():
    """The same way from both sides, and none at the surface: half a pixel would show."""
    vertices, faces = ball()
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, ball()[0])
    unit = RADIUS / FRAME.radius

    def asked(off: float) -> float:  # pixels
        evidence = collect(vertices * (unit + off * pictures.pixel), faces, pictures)
        return float(evidence.force.sum() / evidence.information.sum() / pictures.pixel)

    inward, stay, outward = asked(0.4), asked(0.0), asked(-0.4)
    assert inward < -0.03 and outward > 0.03
    assert inward == pytest.approx(-outward, rel=0.3)
    assert abs(stay) < 0.1 * outward


def test_the_information_is_the_curvature_of_what_moves_together():
    """Against finite differences of the force: twice of it would go half the way, half of it would overshoot."""
    vertices, faces = ball()
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, vertices)
    unit, small = RADIUS / FRAME.radius, 0.1 * pictures.pixel
    belt = np.abs(vertices[:, 1]) < 0.5
    for length in (8, 30, np.inf):  # pixels of a wave around the ball
        motion = np.cos(2 * np.pi * unit / (length * pictures.pixel) * vertices[:, 1])
        ahead, behind = (
            collect(vertices * (unit + way * small * motion)[:, None], faces, pictures) for way in (0.5, -0.5)
        )
        curved = ((behind.force - ahead.force) * motion)[belt].sum() / small
        assert curved / (ahead.information * motion**2)[belt].sum() == pytest.approx(0.85, abs=0.2)


def test_neighbours_that_disagree_hold_each_other_and_what_agrees_goes_all_the_way():
    """The steps that let a level settle."""
    vertices, faces = ball()
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, vertices)
    vertices = vertices * RADIUS / FRAME.radius
    evidence = collect(vertices, faces, pictures)
    free = Bending.of(Surface.of(vertices, faces), 0.0, 0.01, 8.0)  # nothing bends
    belt = np.abs(vertices[:, 1]) < 0.5 * RADIUS / FRAME.radius
    rough = np.random.default_rng(0).choice([-1.0, 1.0], len(vertices)) * pictures.pixel
    for wanted, least, most in ((np.full(len(vertices), pictures.pixel), 0.97, 1.03), (rough, 0.1, 0.5)):
        force = evidence.information * wanted
        alone = solve(evidence.information, force, free, 1.0, 1.0)
        held = solve(evidence.information, force, free, 1.0, 1.0, apart=evidence.apart)
        np.testing.assert_allclose(alone[belt], wanted[belt], rtol=0.05)
        assert least < (held * wanted)[belt].sum() / (wanted**2)[belt].sum() < most


def test_bumps_are_gone_where_photographs_have_texture():
    before = bumpy(broad=1.5, rough=0.2)
    after = refined(before)
    assert np.abs(distance(before)).mean() > 0.35
    assert np.abs(distance(after.mesh)).mean() < 0.08
    assert not after.outvoted
    assert (build_twins(after.mesh.faces, len(after.mesh.vertices)) >= 0).all()
    tree = BoxTree.of(after.mesh.vertices, after.mesh.faces)
    assert not crossing_faces(after.mesh.vertices, after.mesh.faces, tree).any()


def test_plain_skin_becomes_smooth_and_keeps_its_place():
    """Photographs that show nothing but their noise: the mesh's own noise goes, its shape stays."""
    rng = np.random.default_rng(0)
    noisy = [photo + rng.normal(0, 0.01, photo.shape).astype(np.float32) for photo in photographs(flat=True)]
    before = bumpy(broad=2.0, rough=0.3)
    after = refined(before, noisy)
    assert len(after.mesh.vertices) == len(before.vertices)  # one resolution only: the same connectivity
    broad = distance(bumpy(broad=2.0, rough=0.0))
    assert np.abs(distance(after.mesh) - broad).mean() < 0.2
    assert roughness(after.mesh) < 0.4 * roughness(before)


def test_what_a_single_photograph_does_not_see_becomes_smooth_and_what_it_sees_stays():
    before = bumpy(broad=2.0, rough=0.3)
    side = (before.vertices - CENTER)[:, 0] / RADIUS
    seen = np.clip(0.5 + 5 * side, 0, 1)
    after = smooth_unseen(before, seen, FRAME)
    moved = np.linalg.norm(after.vertices - before.vertices, axis=1) / PIXEL
    assert moved[seen == 1].max() < 0.1 and moved[seen == 1].mean() < 0.03
    hidden = side < -0.3
    assert roughness(after, hidden) < 0.2 * roughness(before, hidden)
    broad = bumpy(broad=2.0, rough=0.0)
    off = np.linalg.norm(after.vertices - broad.vertices, axis=1) / PIXEL
    assert off[hidden].mean() < 0.3  # of waves 2 pixels high
    assert not crossing_faces(after.vertices, after.faces, BoxTree.of(after.vertices, after.faces)).any()


def roughness(mesh: Mesh, part: np.ndarray | slice = slice(None)) -> float:
    """Mean distance of a vertex from its neighbours' mean, in pixels: what an artist sees as grain."""
    a, b = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, 1).reshape(-1)
    total = np.zeros_like(mesh.vertices)
    np.add.at(total, a, mesh.vertices[b])
    count = np.bincount(a, minlength=len(total))[:, None]
    away = mesh.vertices - total / count
    outward = (mesh.vertices - CENTER) / RADIUS
    radial = (away * outward).sum(1)
    return float(np.abs(radial - np.median(radial))[part].mean() / PIXEL)


def test_a_photograph_of_something_else_is_outvoted_and_does_no_harm():
    photos = list(photographs())
    photos[3] = np.ascontiguousarray(photos[6][::-1, ::-1])
    after = refined(bumpy(broad=1.0, rough=0.1), photos)
    assert after.outvoted == (3,)
    rest = [i for i in range(8) if i != 3]
    without = refined(bumpy(broad=1.0, rough=0.1), [photos[i] for i in rest], [rig()[i] for i in rest])
    assert np.abs(distance(after.mesh)).mean() < np.abs(distance(without.mesh)).mean() + 0.02


def test_exposure_makes_no_difference():
    bright = [
        np.clip(photo * gain, 0, 1).astype(np.float32)
        for photo, gain in zip(photographs(), np.linspace(0.5, 1.2, 8), strict=True)
    ]
    after = refined(bumpy(broad=1.0, rough=0.1), bright)
    assert np.abs(distance(after.mesh)).mean() < 0.08 and not after.outvoted


def test_two_turns_of_one_way_are_both_ways_twice():
    """Every pair once in each of two turns: none is lost, none is counted again; all views are heard of in each."""
    vertices, faces = ball()
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, vertices)
    vertices = vertices * RADIUS / FRAME.radius
    both = collect(vertices, faces, pictures)
    one, other = (collect(vertices, faces, pictures, turn=turn) for turn in (0, 1))
    assert both.information.any() and not np.allclose(one.information, other.information)
    np.testing.assert_allclose(one.information + other.information, 2 * both.information, rtol=1e-4)
    for evidence in (one, other):
        np.testing.assert_allclose(evidence.mean_ncc, both.mean_ncc, atol=0.01)


def test_a_view_that_is_not_trusted_is_nobodys_partner():
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, ball()[0])
    trust = np.ones(8)
    trust[2] = 0
    partners = partners_of(pictures, trust)
    assert partners[2] == [] and all(2 not in near for near in partners)
    assert any(2 in near for near in partners_of(pictures))


def test_the_same_again():
    first, second = (refined(bumpy(broad=0.5, rough=0.1)) for _ in range(2))
    np.testing.assert_array_equal(first.mesh.vertices, second.mesh.vertices)


def test_cancel_is_heard_and_enough_is_enough():
    def cancel():
        raise Cancelled

    with pytest.raises(Cancelled):
        refined(bumpy(0.5, 0.1), check=cancel)
    steps = []
    refined(bumpy(0.5, 0.1), step=lambda done, total: steps.append((done, total)), enough=lambda: True)
    assert steps == [(1, 6)]


def test_resolutions_follow_photographs_and_wishes():
    assert [level.across for level in levels_for(1000, 4000, 10**6)] == [250, 500, 1000]
    assert [level.across for level in levels_for(300, 4000, 10**6)] == [250]
    assert [level.across for level in levels_for(5000, 1000, 10**6)] == [250, 500, 1000]
    assert max(level.vertices for level in levels_for(5000, 4000, 50_000)) == 50_000


def shrunk(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    return resize_map(pixels, camera.width // 2, camera.height // 2)


def test_photographs_are_read_again_where_they_are_sharper_than_what_was_kept():
    """The same picture by both ways, to a fraction of a pixel and in the same place."""
    full, cameras = photographs(), rig()
    small = [camera.resize(camera.width // 2, camera.height // 2) for camera in cameras]
    kept = [shrunk(camera, photo) for camera, photo in zip(cameras, full, strict=True)]
    asked = []

    def read(i: int) -> tuple[np.ndarray, Camera]:
        asked.append(i)
        return full[i], cameras[i]

    around = ball()[0]
    across = pixels_across(FRAME.normalise(cameras[0]))
    twice = Photographs(kept, [None] * 8, small, read, [2.0] * 8)
    coarse = Pictures.of(twice, FRAME, 0.5 * across, around)
    assert not asked and coarse.grey[0].shape[0] < 0.6 * cameras[0].height
    fine = Pictures.of(twice, FRAME, across, around)
    assert asked == list(range(8))
    direct = Pictures.of(Photographs(full, [None] * 8, cameras), FRAME, across, around)
    for ours, theirs in zip(fine.cameras, direct.cameras, strict=True):
        places = [camera.project(around)[0] for camera in (ours, theirs)]
        corner = places[0][0] - places[1][0]  # of the cut, whole pixels
        np.testing.assert_allclose(corner, corner.round(), atol=1e-6)
        np.testing.assert_allclose(places[0] - places[1], np.tile(corner, (len(around), 1)), atol=1e-6)
    x, y = fine.cameras[0].K[:2, 2].astype(int)
    u, v = direct.cameras[0].K[:2, 2].astype(int)
    ours, theirs = fine.grey[0][y - 9 : y + 9, x - 9 : x + 9], direct.grey[0][v - 9 : v + 9, u - 9 : u + 9]
    np.testing.assert_array_equal(ours, theirs)


def test_the_cut_keeps_masks_and_photographs_in_register():
    """A mask of another size than its photograph: its edge stays where the photograph's edge is."""
    camera = rig()[0]
    edge = 0.4 * camera.width
    photo = np.broadcast_to((np.arange(camera.width) + 0.5 > edge).astype(np.float32)[None, :, None],
                            (camera.height, camera.width, 3))  # fmt: skip
    small = resize_map(np.ascontiguousarray(photo[..., 0]), camera.width // 3, camera.height // 3)
    pictures = Pictures.of(Photographs([photo], [small], [camera]), FRAME, 1e6, ball()[0])
    grey, mask = pictures.grey[0], pictures.masks[0]
    ours = grey.mean() * grey.shape[1]
    theirs = mask.mean() * grey.shape[1]
    assert ours == pytest.approx(theirs, abs=0.2)


def test_views_that_are_looked_at_twice_say_the_same(monkeypatch):
    """Of many large photographs only depths are kept."""
    vertices, faces = ball()
    pictures = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 250, vertices)
    kept = collect(vertices, faces, pictures)
    monkeypatch.setattr(sight, "KEPT", 0)
    again = collect(vertices, faces, pictures)
    np.testing.assert_array_equal(kept.force, again.force)
    seen = sight.Sights.of(vertices, faces, pictures).views[0]  # an empty slice would keep the whole array
    assert seen.triangle.base is None and seen.normals.base is None


def test_all_pictures_together_fit_the_memory(monkeypatch):
    monkeypatch.setattr(pictures_module, "MOST_PIXELS", 200_000)
    found = Pictures.of(Photographs(photographs(), [None] * 8, rig()), FRAME, 1e6, ball()[0])
    assert 150_000 < sum(grey.size for grey in found.grey) < 210_000


def test_the_expected_error_tells_what_is_known():
    """As small as what heads with so much texture have, where the truth is even nearer; at the poles, which no
    photograph shows, as large as what nobody knows."""
    after = refined(bumpy(broad=0.5, rough=0.1))
    away = (after.mesh.vertices - CENTER) / RADIUS
    truth = np.abs(np.linalg.norm(away, axis=1) - 1) * RADIUS
    belt, poles = np.abs(away[:, 1]) < 0.4, np.abs(away[:, 1]) > 0.98
    assert np.median(truth[belt]) < np.median(after.expected_error[belt]) < 1e-3 * FRAME.radius
    assert np.median(after.expected_error[poles]) > 5e-3 * FRAME.radius
