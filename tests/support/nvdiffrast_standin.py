"""A slow stand-in for nvdiffrast.torch, in plain torch on the CPU, written from its public documentation.

Documented: clip-space positions, x to the right, y up, row 0 of an image is its bottom row, pixel centres half a pixel
from the border; rasterize gives (u, v, z / w, triangle + 1) with u, v the perspective-correct weights of the first two
corners, 0 outside; interpolate broadcasts over the batch; antialias blends neighbouring pixels where a silhouette edge
of the nearer one's triangle runs between their centres. Gradients: positions through u and v, and through antialias.
"""

from __future__ import annotations

import torch

calls: list[tuple] = []  # (function, batch, height, width)


class RasterizeCudaContext:
    def __init__(self, device=None) -> None:
        self.device = device


def _check(pos: torch.Tensor, tri: torch.Tensor) -> None:
    assert pos.dtype == torch.float32 and pos.ndim == 3 and pos.shape[2] == 4 and pos.is_contiguous()
    assert tri.dtype == torch.int32 and tri.ndim == 2 and tri.shape[1] == 3 and tri.is_contiguous() and len(tri)


def _weights(corners: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Weights [..., 3] (not normalised) of clip-space corners [..., 3, 4] at normalised device coordinates.

    The point's clip position is a mix of the corners with x = X / W and y = Y / W: solved by cross products.
    """
    rows = torch.stack(
        [corners[..., 0] - x[..., None] * corners[..., 3], corners[..., 1] - y[..., None] * corners[..., 3]], -1
    )
    a, b, c = rows.unbind(-2)

    def area(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]

    return torch.stack([area(b, c), area(c, a), area(a, b)], -1)


def _centres(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1


def rasterize(glctx, pos, tri, resolution, ranges=None, grad_db=True):
    assert isinstance(glctx, RasterizeCudaContext) and ranges is None
    _check(pos, tri)
    height, width = resolution
    assert height % 8 == 0 and width % 8 == 0
    calls.append(("rasterize", len(pos), height, width))
    x, y = _centres(height, width)
    out = []
    for view in pos:
        exact = view.detach().double()
        best = torch.full((height, width), torch.inf, dtype=torch.float64)
        ids = torch.zeros((height, width), dtype=torch.int64)
        for number, corners in enumerate(tri.long()):
            c = exact[corners]
            if (c[:, 3] <= 0).any():
                raise AssertionError("the backend leaves out what reaches behind the camera")
            w = _weights(c.expand(height, width, 3, 4), x.double(), y.double())
            total = w.sum(-1)
            w = w / total[..., None]
            depth = (w * c[:, 2]).sum(-1) / (w * c[:, 3]).sum(-1)
            hit = (w >= 0).all(-1) & (depth.abs() <= 1) & (depth < best)
            best[hit] = depth[hit]
            ids[hit] = number + 1
        found = ids > 0
        corners = view.double()[tri.long()[ids[found] - 1]]
        w = _weights(corners, x.double()[found], y.double()[found])
        w = w / w.sum(-1, keepdim=True)
        image = torch.zeros(height, width, 4, dtype=torch.float64)
        z = (w * corners[..., 2]).sum(-1) / (w * corners[..., 3]).sum(-1)
        values = torch.stack([w[:, 0], w[:, 1], z.detach(), ids[found].double()], -1)
        out.append(image.index_put((found,), values).float())
    return torch.stack(out), None


def interpolate(attr, rast, tri, rast_db=None, diff_attrs=None):
    assert attr.ndim == 3 and len(attr) in (1, len(rast)) and attr.dtype == torch.float32 and attr.is_contiguous()
    attr = attr.expand(len(rast), -1, -1)
    ids = rast[..., 3].long()
    view, y, x = torch.nonzero(ids > 0, as_tuple=True)
    corners = attr[view[:, None], tri.long()[ids[view, y, x] - 1]]  # [n, 3, k]
    u, v = rast[view, y, x, 0], rast[view, y, x, 1]
    values = (torch.stack([u, v, 1 - u - v], -1)[..., None] * corners).sum(1)
    return torch.zeros(*ids.shape, attr.shape[2]).index_put((view, y, x), values), None


def antialias(color, rast, pos, tri, topology_hash=None, pos_gradient_boost=1.0):
    _check(pos, tri)
    assert color.is_contiguous() and color.shape[:3] == rast.shape[:3] and len(pos) == len(color)
    calls.append(("antialias", len(pos), *rast.shape[1:3]))
    return torch.stack([_antialias(*view, tri.long()) for view in zip(color, rast, pos, strict=True)])


def _antialias(color, rast, pos, tri):
    height, width = rast.shape[:2]
    screen = (pos[:, :2] / pos[:, 3:] + 1) / 2 * torch.tensor([width, height], dtype=pos.dtype)
    still = screen.detach()
    a, b, c = (still[tri[:, k]] for k in range(3))
    front = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] > 0
    opposite = {}
    for f, corners in enumerate(tri.tolist()):
        for e in range(3):
            opposite[corners[e], corners[(e + 1) % 3]] = f
    ids, depth = (rast[..., 3].long() - 1).tolist(), rast[..., 2].tolist()
    out = color
    for y in range(height):
        for x in range(width):
            for d, (x1, y1) in enumerate(((x + 1, y), (x, y + 1))):
                if x1 >= width or y1 >= height or ids[y][x] == ids[y1][x1]:
                    continue
                first = ids[y1][x1] < 0 or (ids[y][x] >= 0 and depth[y][x] < depth[y1][x1])
                (px, py), (qx, qy) = ((x, y), (x1, y1)) if first else ((x1, y1), (x, y))
                f = ids[py][px]
                for e in range(3):
                    i, j = int(tri[f, e]), int(tri[f, (e + 1) % 3])
                    other = opposite.get((j, i))
                    if other is not None and front[other] == front[f]:
                        continue
                    p, q = screen[i], screen[j]
                    line, start = (py + 0.5, px + 0.5) if d == 0 else (px + 0.5, py + 0.5)
                    low, high = sorted((float(still[i, 1 - d]), float(still[j, 1 - d])))
                    span = (still[j] - still[i]).abs()
                    steep = bool(span[1 - d] >= span[d])
                    if not low <= line < high or not steep:
                        continue
                    crossing = p[d] + (line - p[1 - d]) / (q[1 - d] - p[1 - d]) * (q[d] - p[d])
                    t = (crossing - start) * (1 if first else -1)
                    if not 0 <= float(t.detach()) <= 1:
                        continue
                    w = 0.5 - t
                    ty, tx = (py, px) if float(w.detach()) > 0 else (qy, qx)
                    change = w * (color[qy, qx] - color[py, px])
                    out = out.index_put((torch.tensor([ty]), torch.tensor([tx])), change[None], accumulate=True)
                    break
    return out
