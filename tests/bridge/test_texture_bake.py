"""The albedo: a painted body comes back on its map, whatever the exposure, the background or the gaps."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture.images import write  # noqa: E402
from bridge.capture.record import View  # noqa: E402
from bridge.errors import BridgeError, Cancelled  # noqa: E402
from bridge.mesh import Mesh  # noqa: E402
from bridge.texture.bake import bake, decide  # noqa: E402
from bridge.texture.delight import estimate  # noqa: E402
from bridge.texture.equalise import equalise, in_range  # noqa: E402
from bridge.texture.files import write_albedo  # noqa: E402
from bridge.texture.fill import fill_gutter, mirror_images  # noqa: E402
from bridge.texture.light import to_linear, to_srgb  # noqa: E402
from bridge.texture.paint import paint_values  # noqa: E402
from bridge.texture.png import write_png  # noqa: E402
from bridge.texture.settings import TextureSettings  # noqa: E402
from bridge.texture.shots import _void, at_pixels  # noqa: E402
from bridge.texture.unwrap import unwrap  # noqa: E402
from bridge.texture.uv_mesh import UvMesh, count_cover, texel_corners  # noqa: E402
from tests.support import synthetic  # noqa: E402

CENTER, SCALE, SIZE = np.array([50.0, -20.0, 10.0]), 3.0, 256
UP, FRONT, ACROSS = np.array([0.0, 0, 1]), np.array([0.0, -1, 0]), np.array([1.0, 0, 0])
SETTINGS = TextureSettings(size=SIZE)


def paint(points):
    """A colour for every point of the body: broad tones with fine stripes that tell a shift."""
    p = (points - CENTER) / SCALE
    stripes = 0.06 * np.sin(40 * p[..., :1]) * np.sin(37 * p[..., 2:])
    return np.clip(0.45 + 0.2 * p / synthetic.AXES + stripes, 0, 1)


@pytest.fixture(autouse=True)
def coarse_decisions(monkeypatch):
    """Vertices twice as far apart as for a real head: these photographs are small."""
    monkeypatch.setattr("bridge.texture.bake.EDGE", 0.035)


@pytest.fixture(scope="module")
def mesh() -> UvMesh:
    return unwrap(Mesh(*synthetic.ellipsoid_mesh(CENTER, SCALE, rings=96)), UP, FRONT)


def shoot(folder, change=lambda pixels, i: pixels, background=(0, 1, 0), count=8) -> list[View]:
    """Photographs of the painted body as files, with masks."""
    views = []
    for i, camera in enumerate(synthetic.ring(count, CENTER, SCALE, 320)):
        _, depth = synthetic.trace(camera, CENTER, SCALE)
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5
        rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
        along = depth.ravel() / (rays @ camera.forward)
        hit = depth.ravel() > 0
        colours = change(paint(camera.center + along[:, None] * rays), i)
        pixels = np.where(hit[:, None], colours, background).reshape(camera.height, camera.width, 3)
        image, mask = folder / f"{camera.name}.png", folder / f"{camera.name}_mask.png"
        write(image, np.rint(np.clip(pixels[..., ::-1], 0, 1) * 65535).astype(np.uint16))
        write(mask, (hit.reshape(depth.shape) * 255).astype(np.uint8))
        views.append(View(camera, image, mask))
    return views


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    return shoot(tmp_path_factory.mktemp("photos"))


def bake_map(mesh, views, settings=SETTINGS, masks=None):
    made = bake(mesh, views, masks or [None] * len(views), ACROSS, settings)
    (image,) = made.maps.values()
    return image.astype(np.float64) / np.iinfo(image.dtype).max, made


def on_map(mesh, values):
    """Vertex values as texels [n, k] of the covered part, and which part that is."""
    out, covered = np.zeros((SIZE, SIZE, values.shape[1]), np.float32), np.zeros((SIZE, SIZE), np.uint8)
    corners = texel_corners(mesh.uv[mesh.faces_uv], SIZE)
    paint_values(corners, mesh.faces, values.astype(np.float32), np.ones(len(mesh.vertices), np.float32), out, covered)
    return out[covered > 0], covered > 0


def errors(mesh, image):
    """Of texels that no camera of the ring looks past: the poles are seen by none."""
    local, covered = on_map(mesh, (mesh.vertices - CENTER) / SCALE)
    seen = np.abs(local[:, 2]) < 0.75 * synthetic.AXES[2]
    return np.abs(image[covered] - paint(local.astype(float) * SCALE + CENTER)).max(1)[seen]


def test_every_texel_shows_what_was_painted_there(mesh, views):
    image, made = bake_map(mesh, views, replace(SETTINGS, bits=16))
    found = errors(mesh, image)
    assert np.median(found) < 0.004 and np.quantile(found, 0.99) < 0.03
    assert 60 < made.seen_pct < 99.5 and len(made.views) == 8


def test_the_background_reaches_no_texel(mesh, tmp_path):
    image, _ = bake_map(mesh, shoot(tmp_path, background=(1, 0, 1)))
    assert (np.minimum(image[..., 0], image[..., 2]) - image[..., 1] > 0.35).sum() == 0
    # not the masks do that: the mesh's own silhouettes keep their distance
    bare = [replace(view, mask=None) for view in shoot(tmp_path, background=(1, 0, 1))]
    image, _ = bake_map(mesh, bare)
    assert (np.minimum(image[..., 0], image[..., 2]) - image[..., 1] > 0.35).sum() == 0


def test_a_mesh_of_two_tiles_gets_two_maps(mesh, views, tmp_path):
    """The underside moved into the next tile: each map shows its part as the one map did, under its UDIM name."""
    (whole,) = bake(mesh, views, [None] * 8, ACROSS, SETTINGS).maps.values()
    charts = mesh.charts()
    uv = mesh.uv.copy()
    uv[np.unique(mesh.faces_uv[charts == 1]), 0] += 1
    parts = bake(replace(mesh, uv=uv), views, [None] * 8, ACROSS, SETTINGS)
    assert list(parts.maps) == [1001, 1002]
    for tile, chart in ((1001, 0), (1002, 1)):
        covered = np.zeros((SIZE, SIZE), np.uint8)
        count_cover(texel_corners(mesh.uv[mesh.faces_uv[charts == chart]], SIZE), covered)
        gap = np.abs(parts.maps[tile].astype(int) - whole)[covered > 0]
        assert covered.sum() > 500 and gap.mean() < 2  # of 255: photographs are averaged down a little otherwise
    assert write_albedo(tmp_path, parts) == ["albedo.1001.png", "albedo.1002.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"albedo.1001.png", "albedo.1002.png"}


def test_what_undistorting_left_black_reaches_no_texel(mesh, tmp_path):
    """Black along a photograph's border, with the noise of a JPEG, cuts through the body; the others know the place."""
    views = shoot(tmp_path)
    void = np.random.default_rng(0).integers(0, 6, (320, 320, 3)).astype(np.uint8)
    spoiled = cv2.imread(str(views[0].image))
    spoiled[230:] = void[230:]
    write(views[0].image, spoiled)
    image, _ = bake_map(mesh, [replace(view, mask=None) for view in views])
    assert errors(mesh, image).max() < 0.2  # the body itself is brighter than 0.2 everywhere
    # black that touches no border is the head's own
    blot = np.full((64, 64, 3), 0.5, np.float32)
    blot[20:40, 20:40] = 0
    assert not _void(blot).any()


def test_a_blurred_photograph_loses_against_sharp_ones(mesh, tmp_path):
    views = shoot(tmp_path)
    sharp = decide(mesh, views, [None] * 8, ACROSS, SETTINGS).shares.detail[0].sum()
    write(views[0].image, cv2.GaussianBlur(cv2.imread(str(views[0].image), cv2.IMREAD_UNCHANGED), (0, 0), 4))
    blurred = decide(mesh, views, [None] * 8, ACROSS, SETTINGS).shares.detail
    assert blurred[0].sum() < 0.7 * sharp
    assert np.ptp(blurred[1:].sum(1)) < 0.7 * sharp  # the others share its place


def test_no_place_is_lifted_beyond_white():
    """One dark photograph among bright ones that are nearly white: all are made a little darker, none is clipped."""
    albedo = np.random.default_rng(1).uniform(0.5, 0.95, (4000, 3))
    gains = np.array([1.0, 1.0, 0.3])[:, None, None]
    colors, quality = np.float32(albedo * gains), np.ones((3, 4000), np.float32)
    plain = equalise(colors, quality)
    assert (colors * plain.gains[:, None]).max() <= 1  # their mean is 0.65: nothing to do
    lifted = replace(plain, gains=plain.gains * 2)
    held = in_range(lifted, colors, quality)
    assert np.quantile((colors * held.gains[:, None]).max(-1), 0.99) == pytest.approx(1, abs=0.02)
    assert np.allclose(held.gains / held.gains[0], lifted.gains / lifted.gains[0])
    assert in_range(plain, colors, quality).gains == pytest.approx(plain.gains)


def test_exposure_and_tint_are_brought_to_one(mesh, tmp_path):
    rng = np.random.default_rng(3)
    gains = np.exp(rng.uniform(-0.35, 0.35, (8, 1))) * rng.uniform(0.94, 1.06, (8, 3))
    views = shoot(tmp_path, lambda pixels, i: to_srgb(to_linear(pixels) * gains[i]))
    image, made = bake_map(mesh, views)
    product = made.gains * gains  # the same for all photographs, if all is well
    assert np.abs(product / product.mean(0) - 1).max() < 0.02
    exact = to_linear(image) / product.mean(0)
    assert np.median(errors(mesh, to_srgb(exact))) < 0.008
    raw, _ = bake_map(mesh, views, replace(SETTINGS, equalise=False))
    assert np.median(errors(mesh, raw)) > 0.03


def test_vignetting_is_found_with_the_gains():
    rng = np.random.default_rng(1)
    albedo = rng.uniform(0.1, 0.6, (4000, 3))
    corner = rng.uniform(0, 0.8, (6, 4000))
    gains = np.exp(rng.uniform(-0.3, 0.3, (6, 1)))
    colors = albedo * gains[..., None] * np.exp(-0.5 * corner[..., None])
    colors[0, :400] *= 3  # a highlight on one of them
    quality = (rng.uniform(size=(6, 4000)) < 0.5).astype(float)
    found = equalise(colors.astype(np.float32), quality, corner)
    assert abs(found.vignetting[0] - 0.5) < 0.02
    assert np.ptp(found.gains[:, 0] * gains[:, 0]) < 0.02


def test_a_photograph_that_is_off_makes_no_ghost(mesh, tmp_path):
    """One camera a pixel and a half off: where it meets others, all show the same stripes at the same place."""
    views = shoot(tmp_path)
    K = views[2].camera.K.copy()
    K[0, 2] += 1.5
    views[2] = replace(views[2], camera=replace(views[2].camera, K=K))

    def disagreement(settings):
        plan = decide(mesh, views, [None] * 8, ACROSS, settings)
        colors = [at_pixels(shot.pixels, shot.place + plan.offsets[i]) for i, shot in enumerate(plan.shots)]
        both = (plan.shares.broad[2] > 0.15) & (plan.shares.broad[3] > 0.15)
        assert both.sum() > 100
        return np.abs(colors[2] - colors[3])[both].mean()

    assert disagreement(SETTINGS) < 0.5 * disagreement(replace(SETTINGS, align=False))


def test_a_photograph_can_be_left_out_and_masked(mesh, views):
    spoiled = [np.ones((320, 320), np.float32) for _ in views]
    spoiled[0][:, :160] = 0
    plan = decide(mesh, views, spoiled, ACROSS, SETTINGS)
    pixels, _ = views[0].camera.project(plan.mesh.vertices)
    assert plan.shots[0].quality[pixels[:, 0] < 155].max() == 0 < plan.shots[0].quality.max()
    _, made = bake_map(mesh, views, replace(SETTINGS, excluded=(views[0].name,)))
    assert views[0].name not in made.views and len(made.views) == 7
    with pytest.raises(BridgeError, match="No view is called 'nobody'"):
        bake_map(mesh, views, replace(SETTINGS, excluded=("nobody",)))


def test_the_controls_do_what_they_say(mesh, views):
    def seen(**changed):
        plan = decide(mesh, views, [None] * 8, ACROSS, replace(SETTINGS, align=False, **changed))
        return np.mean([shot.quality > 0 for shot in plan.shots])

    assert seen(frontal=0.0) > seen() > seen(frontal=1.0) > 0
    assert seen(silhouette=0.0) > seen(silhouette=1.0) > 0
    image, _ = bake_map(mesh, views, replace(SETTINGS, fill=False))
    _, covered = on_map(mesh, mesh.vertices)
    black = (image[covered].max(1) == 0).mean()
    full, _ = bake_map(mesh, views)
    assert black > 0.01 and (full[covered].max(1) == 0).mean() == 0


def test_a_mesh_elsewhere_is_refused(mesh, views):
    away = replace(mesh, vertices=mesh.vertices + 100)
    with pytest.raises(BridgeError, match="No photograph shows the mesh"):
        bake_map(away, views)
    with pytest.raises(BridgeError, match="cannot be read"):
        bake_map(mesh, [replace(views[0], image=views[0].image.with_name("gone.png")), *views[1:]])


def test_a_bake_can_be_cancelled(mesh, views):
    def step(done, total):
        if done >= 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        bake(mesh, views, [None] * 8, ACROSS, SETTINGS, step=step)


def test_light_from_one_side_is_taken_out_and_dark_brows_stay():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(20_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    albedo = np.full((20_000, 3), [0.5, 0.35, 0.28])
    brow = rng.uniform(size=20_000) < 0.08
    albedo[brow] *= 0.25
    # matt light from the left and a sky: what nine harmonics can say
    shading = 0.35 + 0.4 * normals[:, :1] + 0.12 * (normals[:, :1] ** 2 - 1 / 3)
    shading = np.repeat(np.maximum(shading, 0.05), 3, 1) * [1.0, 0.95, 0.9]
    colors = np.stack([albedo * shading] * 3).astype(np.float32)
    found = estimate(colors, np.ones((3, 20_000)), normals)
    flat = colors[0] / found.at(0, normals)
    front = normals[:, 2] > 0.3
    left, right = front & (normals[:, 0] > 0.4) & ~brow, front & (normals[:, 0] < -0.4) & ~brow
    before = colors[0][left].mean() / colors[0][right].mean()
    after = flat[left].mean() / flat[right].mean()
    assert before > 1.8 and 1 / 1.15 < after < 1.15
    kept = flat[front & brow].mean() / flat[front & ~brow].mean()
    assert 0.2 < kept < 0.32


def test_mirror_images_are_found_on_a_tilted_head():
    body = Mesh(*synthetic.ellipsoid_mesh(np.zeros(3), 1.0, rings=96))
    turn = cv2.Rodrigues(np.array([0, 0.05, 0.08]))[0]
    vertices = body.vertices @ turn.T + [5, 6, 7]
    normals = Mesh(vertices, body.faces).normals()
    pairs = mirror_images(vertices, normals, ACROSS, 1.0)
    good = pairs >= 0
    expected = body.vertices * [-1, 1, 1]
    gap = np.linalg.norm(body.vertices[pairs[good]] - expected[good], axis=1)
    assert good.mean() > 0.95 and np.median(gap) < 0.04


def test_the_gutter_takes_its_nearest_texel():
    image, covered = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    covered[20:30, 20:30] = 1
    image[covered > 0] = 100
    image[20:30, 29] = 200
    fill_gutter(image, covered)
    assert (image[22:28, 30:34] == 200).all() and (image[22:28, 15:20] == 100).all()
    assert 100 < image[0, 0, 0] < 120  # far away the mean


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_says_that_it_is_srgb(tmp_path, kind):
    image = np.arange(48, dtype=kind).reshape(4, 4, 3) * 5
    write_png(tmp_path / "a.png", image, srgb=True)
    data = (tmp_path / "a.png").read_bytes()
    assert b"sRGB" in data[:60]
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert back.dtype == kind and np.array_equal(back[..., ::-1], image)
    write_png(tmp_path / "b.png", image, srgb=False)
    assert b"sRGB" not in (tmp_path / "b.png").read_bytes()
