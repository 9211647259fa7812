"""python -m bench.texture --data DIR [...]: the albedo bake against heads whose colours are known.

light    one strong lamp taken out
unwrap   charts, stretch and seconds of the UVs of a mesh
albedo   PSNR of the baked map against the truth over texels that two photographs see, held-out views, gains and tints,
         a magenta background, borders between photographs and of charts, seconds and memory
DIR is the folder with heads/ and captures/. valid_wf2 has a capture lit evenly, so its colours are its texture;
marble_bust has none, so its photographs are drawn: its texture as it is, 4 x 4 samples a pixel.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from bridge.capture.images import Photo, read_photo, write
from bridge.capture.masks import head_mask
from bridge.capture.record import View, load
from bridge.mesh import Mesh
from bridge.mesh.distance import sample_surface
from bridge.mesh.normals import vertex_normals
from bridge.raster import make_rasteriser
from bridge.report.results import read_ply
from bridge.texture.bake import _split, bake, decide
from bridge.texture.light import to_linear, to_srgb
from bridge.texture.paint import paint_values
from bridge.texture.settings import TextureSettings
from bridge.texture.shares import neighbour_mean
from bridge.texture.unwrap import unwrap
from bridge.texture.unwrap.flatten import stretch
from bridge.texture.uv_mesh import UvMesh, check_uvs, texel_corners

UP, FRONT, ACROSS = np.array([0.0, 1, 0]), np.array([0.0, 0, 1]), np.array([1.0, 0, 0])  # of the test heads' worlds
TRUTH_SAMPLES = 3_000_000
SUPERSAMPLES = 4  # a pixel's side of photographs that are drawn
EVEN = "capture-albedo.json"  # photographs of a head's texture without light


@dataclass(frozen=True, eq=False)
class Textured:
    """A surface with its texture: the one that was rendered for a test head, or one that was baked."""

    mesh: UvMesh
    texture: np.ndarray  # [h, w, 3] float32 sRGB

    @classmethod
    def of(cls, data: Path, name: str) -> Textured:
        folder = data / "heads" / name
        head, body = np.load(folder / "head.npz"), json.loads((folder / "head.json").read_text())
        vertices, faces = read_ply(data / "captures" / name / "gt_mesh.ply")
        uv, faces_uv = head["uv"].astype(float), head["faces_uv"]
        while len(faces_uv) < len(faces):  # Loop's scheme: all first corners, all second, all third, all middles
            n = len(faces_uv)
            uv, fine = _split(uv, faces_uv)
            a, b, c, d = fine.reshape(4, n, 3)
            faces_uv = np.concatenate([a, b[:, [1, 2, 0]], c[:, [2, 0, 1]], d])
        file = folder / body["textures"][0]["file"]
        image = np.asarray(cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR))
        return cls(UvMesh(vertices, faces, uv, faces_uv.astype(np.int32)), image[..., ::-1].astype(np.float32) / 255)

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours of the nearest points of the surface, and how far they are."""
        where, face = sample_surface(self.mesh.vertices, self.mesh.faces, TRUTH_SAMPLES)
        a, b, c = (self.mesh.vertices[self.mesh.faces[face, k]] for k in range(3))
        e, f, p = b - a, c - a, where - a
        ee, ef, ff, pe, pf = ((k * m).sum(1) for k, m in ((e, e), (e, f), (f, f), (p, e), (p, f)))
        det = np.maximum(ee * ff - ef * ef, 1e-30)
        v, w = (ff * pe - ef * pf) / det, (ee * pf - ef * pe) / det
        corners = self.mesh.uv[self.mesh.faces_uv[face]]
        uv = (1 - v - w)[:, None] * corners[:, 0] + v[:, None] * corners[:, 1] + w[:, None] * corners[:, 2]
        height, width = self.texture.shape[:2]
        x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
        right, down = (np.pad(k, (0, -len(k) % 8192)).reshape(-1, 8192).astype(np.float32) for k in (x, y))
        colors = cv2.remap(self.texture, right, down, cv2.INTER_LINEAR).reshape(-1, 3)[: len(x)]
        gap, near = cKDTree(where).query(points, workers=2)
        return colors[near], gap


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(float(((a - b) ** 2).mean()), 1e-12)))


def ssim(a: np.ndarray, b: np.ndarray, inside: np.ndarray) -> float:
    """Mean structural similarity of grey pictures inside a mask (Wang and others 2004)."""
    a, b = (k.mean(-1).astype(np.float64) for k in (a, b))

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = blur(a), blur(b)
    va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return float(value[inside].mean())


def texel_values(mesh: UvMesh, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertex values [V, k] of a one-tile mesh on its map, and which texels are covered."""
    out, covered = np.zeros((size, size, values.shape[1]), np.float32), np.zeros((size, size), np.uint8)
    corners = texel_corners(mesh.uv[mesh.faces_uv], size)
    paint_values(corners, mesh.faces, values.astype(np.float32), np.ones(len(mesh.vertices), np.float32), out, covered)
    return out, covered > 0


def render(mesh: UvMesh, texture: np.ndarray, camera, samples: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A view of the textured mesh [H, W, 3], unlit, and where the mesh is; sampled so much finer and averaged."""
    fine = camera.resize(samples * camera.width, samples * camera.height)
    order = mesh.faces.reshape(-1)  # every corner a vertex of its own, so that seams stay sharp
    faces = np.arange(len(order), dtype=np.int32).reshape(-1, 3)
    uv = mesh.uv[mesh.faces_uv.reshape(-1)]
    found = make_rasteriser("cpu", [fine]).render(mesh.vertices[order], faces, uv)
    assert found.attributes is not None
    at = found.attributes[0]
    height, width = texture.shape[:2]
    x, y = at[..., 0] * width - 0.5, (1 - at[..., 1]) * height - 0.5
    picture = cv2.remap(texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    hit = (found.triangle[0] >= 0).astype(np.float32)
    shape = camera.width, camera.height
    return cv2.resize(picture * hit[..., None], shape, interpolation=cv2.INTER_AREA), cv2.resize(
        hit, shape, interpolation=cv2.INTER_AREA
    )


class Subject:
    """A mesh with UVs, a capture whose colours are known, and what is measured on them."""

    def __init__(self, truth: Textured, views: list[View], mesh: UvMesh, size: int) -> None:
        self.truth, self.views = truth, views
        self.mesh, self.size = mesh, size
        self.settings = TextureSettings(size=size)
        points, self.covered = texel_values(mesh, mesh.vertices, size)
        self.colors, gap = self.truth.at(points[self.covered].astype(np.float64))
        self.near = gap < 0.01  # a tenth of a millimetre or so of sampling and a millimetre of shape

    def bake(self, views: list[View] | None = None, settings: TextureSettings | None = None) -> np.ndarray:
        views = self.views if views is None else views
        made = bake(self.mesh, views, [None] * len(views), ACROSS, settings or self.settings)
        (image,) = made.maps.values()
        self.made = made
        return image.astype(np.float32) / np.iinfo(image.dtype).max

    def seen_twice(self) -> np.ndarray:
        """Of the covered texels: does the truth near them exist, and do two photographs show them?"""
        plan = decide(self.mesh, self.views, [None] * len(self.views), ACROSS, self.settings)
        count = np.sum([shot.quality > 0 for shot in plan.shots], 0).astype(np.float32)
        values, _ = texel_values(plan.mesh, count[:, None], self.size)
        return (values[self.covered][:, 0] >= 1.99) & self.near

    def error(self, image: np.ndarray, where: np.ndarray, fit: bool = False) -> float:
        found = image[self.covered][where]
        true = self.colors[where]
        if fit:  # exposure and tint of all photographs together cannot be known: one factor a channel
            found = found * (true * found).sum(0) / (found**2).sum(0)
        return psnr(np.clip(found, 0, 1), true)


def unwrap_row(path: Path) -> None:
    mesh = Mesh(*read_ply(path))
    unwrap(Mesh(mesh.vertices, mesh.faces), UP, FRONT)
    start = time.perf_counter()
    made = unwrap(mesh, UP, FRONT)
    seconds = time.perf_counter() - start
    check_uvs(made, path.name)
    high, low = stretch(made.vertices, made.faces, made.uv[made.faces_uv])
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    charts = made.charts()
    inside = charts == np.argmax(np.bincount(charts, weights=area))
    high, low, area = high[inside], low[inside], area[inside]
    ratio = high / np.maximum(low, 1e-12)
    order = np.argsort(ratio)
    share = np.cumsum(area[order]) / area.sum()
    at = [ratio[order][np.searchsorted(share, q)] for q in (0.5, 0.95, 0.99)]
    used = texel_values(made, np.ones((len(mesh.vertices), 1)), 1024)[1].mean()
    print(
        f"| {path.stem} | {len(mesh.vertices)} | {charts.max() + 1} | {at[0]:.2f} | {at[1]:.2f} | {at[2]:.2f} | "
        f"{100 * used:.0f} | {seconds:.1f} |",
        flush=True,
    )


def changed(views: list[View], folder: Path, change) -> list[View]:
    """The views with photographs changed by change(pixels, index, view)."""
    made = []
    for i, view in enumerate(views):
        photo = read_photo(view)
        pixels = np.clip(change(photo.pixels, i, view, photo), 0, 1)
        path = folder / f"{view.name}.png"
        write(path, np.rint(pixels[..., ::-1] * 255).astype(np.uint8))
        made.append(replace(view, image=path))
    return made


def mask_of(view: View, photo: Photo) -> np.ndarray:  # [H, W] 0..1
    mask = head_mask(view, photo)
    assert mask is not None, "the captures of this bench have masks"
    return mask


def tinted(pixels: np.ndarray, i: int, view: View, photo) -> np.ndarray:
    rng = np.random.default_rng(100 + i)
    gain = np.exp(rng.uniform(np.log(0.7), np.log(1.4))) * rng.uniform(0.93, 1.07, 3)
    return to_srgb(to_linear(pixels) * gain)


def magenta(pixels: np.ndarray, i: int, view: View, photo) -> np.ndarray:
    mask = mask_of(view, photo)[..., None]
    return pixels * mask + (1 - mask) * np.array([1, 0, 1])


def albedo_rows(subject: Subject, label: str) -> None:
    start = time.perf_counter()
    image = subject.bake()
    seconds = time.perf_counter() - start
    twice = subject.seen_twice()
    plain = subject.error(image, twice)
    print(f"{label}: size {subject.size}, seen {subject.made.seen_pct:.1f} %, {seconds:.1f} s")
    print(
        f"  PSNR over texels seen twice: {plain:.2f} dB ({100 * twice.mean():.0f} % of the map), with one factor a "
        f"channel {subject.error(image, twice, True):.2f} dB",
        flush=True,
    )
    held = [2, 6]
    rest = [view for k, view in enumerate(subject.views) if k not in held]
    without = subject.bake(rest)
    for k in held:
        photo = read_photo(subject.views[k])
        picture, hit = render(subject.mesh, without, photo.camera)
        inside = (
            cv2.erode(
                ((mask_of(subject.views[k], photo) > 0.99) & (hit > 0.99)).astype(np.uint8), np.ones((5, 5), np.uint8)
            )
            > 0
        )
        print(
            f"  held out {subject.views[k].name}: PSNR {psnr(picture[inside], photo.pixels[inside]):.2f} dB, SSIM "
            f"{ssim(picture, photo.pixels, inside):.4f}",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        other = subject.bake(changed(subject.views, Path(folder), tinted))
        print(f"  gains 0.7 to 1.4 and tints: {subject.error(other, twice, True):.2f} dB (one factor a channel)")
        raw = subject.bake(changed(subject.views, Path(folder), tinted), replace(subject.settings, equalise=False))
        print(f"  the same without equalising: {subject.error(raw, twice, True):.2f} dB", flush=True)
        other = subject.bake(changed(subject.views, Path(folder), magenta))
        found = other[subject.covered]
        pink = (np.minimum(found[:, 0], found[:, 2]) - found[:, 1] > 0.25).sum()
        print(f"  magenta texels: {pink}; PSNR {subject.error(other, twice):.2f} dB")
    seam_rows(subject, image)
    chart_rows(subject, image)
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)


LAMP = np.array([-0.75, 0.25, 0.6])  # one strong light from the head's right, as seen on the left of a picture
AMBIENT, STRONG = 0.3, 1.0


def lit_by_one_lamp(truth: Textured):
    """A change of photographs: matt light of one lamp and a little from everywhere, on the true surface."""
    towards = LAMP / np.linalg.norm(LAMP)

    def change(pixels: np.ndarray, i: int, view: View, photo) -> np.ndarray:
        normals = make_rasteriser("cpu", [photo.camera]).render(truth.mesh.vertices, truth.mesh.faces).normals[0]
        shading = AMBIENT + STRONG * np.clip(normals @ towards, 0, None)
        return to_srgb(to_linear(pixels) * 0.75 * shading[..., None])

    return change


def delight_rows(subject: Subject) -> None:
    """Cheeks left against right in linear light, and the detail that is kept, with and without delighting."""
    points, _ = texel_values(subject.mesh, subject.mesh.vertices, subject.size)
    at = points[subject.covered]
    cheek = (np.abs(at[:, 1] + 0.38) < 0.12) & (np.abs(np.abs(at[:, 0]) - 0.42) < 0.1) & (at[:, 2] > 0.3)
    left, right = cheek & (at[:, 0] < 0), cheek & (at[:, 0] > 0)
    twice = subject.seen_twice()
    face = np.zeros(subject.covered.shape, bool)
    face[subject.covered] = (at[:, 2] > 0.35) & (at[:, 1] > -0.8) & (at[:, 1] < 0.25) & twice
    inner = cv2.erode(face.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    true = np.zeros((*subject.covered.shape, 3), np.float32)
    true[subject.covered] = subject.colors

    def slopes(image: np.ndarray) -> np.ndarray:
        # at the photographs' own resolution, whatever the map's is
        grey = cv2.GaussianBlur(np.log(to_linear(image).mean(-1) + 0.02), (0, 0), 1.5 * subject.size / 1024)
        return np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0)[inner], cv2.Sobel(grey, cv2.CV_32F, 0, 1)[inner]]).ravel()

    kept = np.corrcoef(slopes(subject.bake()), slopes(true))[0, 1]
    print(f"  lit evenly: gradient correlation {kept:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        views = changed(subject.views, Path(folder), lit_by_one_lamp(subject.truth))
        for delight in (False, True):
            image = subject.bake(views, replace(subject.settings, delight=delight)).astype(np.float32)
            light = to_linear(image[subject.covered]).mean(-1)
            kept = np.corrcoef(slopes(image), slopes(true))[0, 1]
            print(
                f"  one lamp, delight {delight}: cheeks {light[left].mean() / light[right].mean():.2f}, gradient "
                f"correlation {kept:.3f}, PSNR {subject.error(image, twice, True):.2f} dB",
                flush=True,
            )


def seam_rows(subject: Subject, image: np.ndarray) -> None:
    """Mean gradient on the borders between photographs against that three vertices beside them, in truth's light.

    The texture's own gradient is taken off first: what is left is the bake's.
    """
    plan = decide(subject.mesh, subject.views, [None] * len(subject.views), ACROSS, subject.settings)
    f, label = plan.mesh.faces, plan.shares.label
    border = np.zeros(len(label), np.float32)
    crossing = (label[f] != label[f[:, :1]]).any(1) & (label[f] >= 0).all(1)
    border[f[crossing].ravel()] = 1
    smooth = neighbour_mean(f, len(label))
    near = border.copy()
    for _ in range(8):
        near = smooth @ near
    values, covered = texel_values(plan.mesh, np.stack([border, near, label >= 0], 1), subject.size)
    grey = image.mean(-1).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    inner = cv2.erode((covered & (values[..., 2] > 0.99)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    on = inner & (values[..., 0] > 0.5)
    beside = inner & (values[..., 0] == 0) & (values[..., 1] > 0.02)
    print(f"  gradient on borders between photographs / beside them: {slope[on].mean() / slope[beside].mean():.3f}")


def chart_rows(subject: Subject, image: np.ndarray) -> None:
    """Mean change of colour from one side of a chart's border to the other against that over as long a way beside it.

    What the true texture does at the same places stands beside: a border may well follow a hairline.
    """
    mesh = subject.mesh
    texel = np.sqrt(mesh_area(mesh) / subject.covered.sum())  # world units
    middle, across = chart_borders(mesh)
    ways = [middle + k * texel * across for k in (-3, -1, 1, 3)]
    baked = Textured(mesh, image)
    ratios = []
    for textured in (baked, subject.truth):
        colors = [textured.at(points)[0] for points in ways]
        a, b, c = (np.abs(after - before).mean() for before, after in zip(colors, colors[1:]))
        ratios.append(2 * b / (a + c))
    print(f"  change across chart borders / beside them: {ratios[0]:.3f}, of the true texture {ratios[1]:.3f}")


def mesh_area(mesh: UvMesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def chart_borders(mesh: UvMesh) -> tuple[np.ndarray, np.ndarray]:  # [n, 3] each
    """Middles of the edges along which the UVs are cut, and unit directions across them on the surface."""
    start, end = mesh.faces, np.roll(mesh.faces, -1, 1)
    uv_start, uv_end = mesh.faces_uv, np.roll(mesh.faces_uv, -1, 1)
    known = {(a, b): (p, q) for a, b, p, q in zip(*(k.ravel().tolist() for k in (start, end, uv_start, uv_end)))}
    cut = [(a, b) for (a, b), rows in known.items() if a < b and (b, a) in known and known[b, a][::-1] != rows]
    a, b = (mesh.vertices[np.array(k)] for k in zip(*cut))
    normals = vertex_normals(mesh.vertices, mesh.faces)
    across = np.cross(b - a, sum(normals[np.array(k)] for k in zip(*cut)))
    return (a + b) / 2, across / np.linalg.norm(across, axis=1, keepdims=True)


def lit_evenly(data: Path, name: str, truth: Textured, folder: Path) -> list[View]:
    """Photographs that show a head's texture without light: those there are, else drawn into folder."""
    made = data / "captures" / name
    if (made / EVEN).exists():
        return list(load(made / EVEN).views)
    views = []
    for view in load(made).views:
        picture, _ = render(truth.mesh, truth.texture, view.camera, SUPERSAMPLES)
        path = folder / f"{view.name}.png"
        write(path, np.rint(picture[..., ::-1] * 255).astype(np.uint8))
        views.append(replace(view, image=path))
    return views


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--head", choices=("valid_wf2", "marble_bust"), default="valid_wf2")
    parser.add_argument("--meshes", type=Path, nargs="*", default=[], help="dense heads of it: PLY files")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--tables", nargs="+", choices=("unwrap", "albedo", "light"), default=["unwrap", "albedo"])
    options = parser.parse_args()
    if "unwrap" in options.tables and options.meshes:
        print(
            "| mesh | vertices | charts | anisotropy 50 % | 95 % | 99 % | map used % | seconds |\n" + "|---" * 8 + "|"
        )
        for path in options.meshes:
            unwrap_row(path)
    truth = Textured.of(options.data, options.head)
    with tempfile.TemporaryDirectory() as folder:
        views = lit_evenly(options.data, options.head, truth, Path(folder))
        if "albedo" in options.tables:
            albedo_rows(Subject(truth, views, truth.mesh, options.size), "own UVs")
        for path in options.meshes:
            made = unwrap(Mesh(*read_ply(path)), UP, FRONT)
            subject = Subject(truth, views, made, options.size)
            if "albedo" in options.tables:
                albedo_rows(subject, path.stem)
            if "light" in options.tables:
                delight_rows(subject)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
