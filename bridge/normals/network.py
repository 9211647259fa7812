"""The multi-view normal network in PyTorch (paper section 3.1, at a size that ships).

An image pyramid of light convolutions gives tokens at 1/16; transformer blocks with self-attention and view-aware
cross-attention over the tokens of all views; a DPT-like decoder that fuses tokens of several depths with the pyramid.
Three parts (encoder, trunk, decoder) so that inference can run the convolutions a view at a time and only the tokens
of all views meet.

Views are head cameras (bridge/normals/warp.py): square, undistorted, looking at the head's centre, with a focal
length that follows from the distance. The camera of a view is then its rotation and one number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 16
FILL = 0.85  # share of half the frame that the head's unit sphere fills; see warp.py
OUTPUTS = 8  # normal 3, matte logit 1, canonical coordinates 3, concentration 1


@dataclass(frozen=True)
class NetworkConfig:
    """Channels at 1/2, 1/4, 1/8; token width, blocks and heads at 1/16.

    across: blocks attend over all views; without it the network is its own twin for the ablation: as many weights and
    operations, but every view alone.
    grid: side of the learnt position grid of a pre-trained ViT, whose patches then enter beside the convolutions'
    tokens; 0: none, positions are computed.
    """

    name: str
    half: int
    quarter: int
    eighth: int
    width: int
    blocks: int
    heads: int
    taps: tuple[int, ...]  # blocks whose tokens the decoder sees
    across: bool = True
    grid: int = 0


CONFIGS = {
    "tiny": NetworkConfig("tiny", 8, 16, 32, 64, 2, 2, (0, 1)),  # tests
    "small": NetworkConfig("small", 32, 64, 128, 256, 6, 4, (1, 3, 5)),  # ships; trains on two CPU cores
    # the paper's: the blocks of ViT-L/16 at 384 pixels, to be filled from timm's checkpoint (training/pretrained.py)
    "large": NetworkConfig("large", 64, 128, 256, 1024, 24, 16, (5, 11, 17, 23), grid=24),
}
CONFIGS |= {f"{name}_alone": replace(c, name=f"{name}_alone", across=False) for name, c in CONFIGS.items()}


def rotation_of(quaternion: Tensor) -> Tensor:
    """Unit quaternions [N, 4] (w, x, y, z) -> rotations [N, 3, 3]."""
    w, x, y, z = quaternion.unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    )
    return torch.stack(rows, -1).view(-1, 3, 3)


class CameraEmbedding(nn.Module):
    """Rotation and distance of a head camera, and the ray of every token, to the token width.

    The paper adds [quaternion; translation] to all tokens of a view. In head cameras the translation is (0, 0,
    distance). The products of the quaternion's components are given beside it because q and -q are one rotation; the
    token's ray in the world lets attention compare lines of sight.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.view = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, width))
        self.ray = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, quaternion: Tensor, distance: Tensor, grid: Tensor) -> Tensor:
        """quaternion [N, 4], distance [N] in head radii, grid [L, 2] in -0.5..0.5 of the frame -> [N, L, D]."""
        w, x, y, z = quaternion.unbind(-1)
        d = distance
        features = torch.stack(
            (w * w, x * x, y * y, z * z, w * x, w * y, w * z, x * y, x * z, y * z, torch.log(d), 1 / d), -1
        )
        focal = 0.5 * FILL * torch.sqrt(d * d - 1)
        sideways = grid[None] / focal[:, None, None]  # [N, L, 2]
        ray = torch.cat((sideways, torch.ones_like(sideways[..., :1])), -1)
        ray = functional.normalize(ray @ rotation_of(quaternion), dim=-1)  # R^T ray, as rows
        return self.view(features)[:, None] + self.ray(ray)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head softmax(q k^T / sqrt(d)) v of [B, Q, D], [B, K, D], [B, K, D] -> [B, Q, D].

    On a CPU the plain form trains 2-3 times faster in bf16 than PyTorch's own.
    """
    B, Q, D = q.shape
    q, k, v = (t.reshape(B, -1, heads, D // heads).transpose(1, 2) for t in (q, k, v))
    if q.device.type != "cpu":
        mixed = functional.scaled_dot_product_attention(q, k, v)
    else:
        with torch.autocast(q.device.type, enabled=False):
            mixed = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1) @ v
    return mixed.transpose(1, 2).reshape(B, Q, D)


class Attention(nn.Module):
    """Multi-head attention of queries [B, Q, D] over keys [B, K, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = attend  # export.py puts a fused operator here
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        k, v = self.kv(key).chunk(2, -1)
        return self.out(self.mix(self.q(query), k, v, self.heads))


class Block(nn.Module):
    """Self-attention, view-aware cross-attention over all views, MLP (pre-norm, with a learnt scale of each branch).

    The scales start small: without them the first thousand steps of batches of two heads blew the residual stream up
    along one direction and attention never recovered.
    """

    def __init__(self, width: int, heads: int, across: bool = True) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.own = Attention(width, heads)
        self.across = Attention(width, heads)
        self.all_views = across
        self.scale = nn.Parameter(torch.full((3, width), 0.2))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, camera: Tensor, views: int) -> Tensor:
        """x, camera [B * views, L, D]."""
        y = self.norm1(x)
        x = x + self.scale[0] * self.own(y, y)
        y = self.norm2(x) + camera
        N, L, D = y.shape
        if self.all_views:
            y = y.reshape(-1, views * L, D)
        x = x + self.scale[1] * self.across(y, y).reshape(N, L, D)
        return x + self.scale[2] * self.mlp(self.norm3(x))


def conv(i: int, o: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution with normalisation and activation."""
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.GroupNorm(8, o), nn.SiLU())


class Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.a = conv(c, c)
        self.b = nn.Conv2d(c, c, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x))


class Encoder(nn.Module):
    """Image [N, 4, H, W] (RGB - 0.5 and the mask of pixels inside the photograph) -> features at 1/2, 1/4, 1/8,
    1/16."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        # pixels are folded 2x2 into channels: full-resolution detail survives and no layer runs at full resolution
        self.to_half = nn.Sequential(conv(16, c.half), Residual(c.half))
        self.to_quarter = nn.Sequential(conv(c.half, c.quarter, 2), Residual(c.quarter), Residual(c.quarter))
        self.to_eighth = nn.Sequential(conv(c.quarter, c.eighth, 2), Residual(c.eighth), Residual(c.eighth))
        self.to_token = nn.Conv2d(c.eighth, c.width, 3, 2, 1)
        self.patch = nn.Conv2d(4, c.width, PATCH, PATCH) if c.grid else None

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = self.to_half(functional.pixel_unshuffle(image, 2))
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        tokens = self.to_token(eighth)
        return half, quarter, eighth, tokens if self.patch is None else tokens + self.patch(image)


class Trunk(nn.Module):
    """Tokens of all views meet. [B * views, D, h, w] -> the same shape."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.taps = c.taps
        self.position = nn.Sequential(nn.Linear(18, c.width), nn.GELU(), nn.Linear(c.width, c.width))
        self.grid = nn.Parameter(torch.zeros(1, c.width, c.grid, c.grid)) if c.grid else None
        self.camera = CameraEmbedding(c.width)
        self.blocks = nn.ModuleList(Block(c.width, c.heads, c.across) for _ in range(c.blocks))
        self.reassemble = nn.ModuleList(nn.Linear(c.width, c.width) for _ in c.taps)
        self.enter, self.norm = nn.Identity() if c.grid else nn.LayerNorm(c.width), nn.LayerNorm(c.width)
        self._initialise(c.width)

    def _initialise(self, width: int) -> None:
        """Attention starts selective, and where a token is weighs about as much as what it shows.

        Measured on the first run: with the usual small weights every attention is a plain mean for thousands of steps.
        """
        with torch.no_grad():
            for module in (*self.blocks.modules(), *self.reassemble):
                if isinstance(module, nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=0.03 * (256 / width) ** 0.5)
                    nn.init.zeros_(module.bias)
            for module in self.modules():
                if isinstance(module, Attention):
                    module.q.weight *= 2.2
                    module.kv.weight[:width] *= 2.2
            for last in (self.position[2], self.camera.view[2], self.camera.ray[2]):
                assert isinstance(last, nn.Linear)
                last.weight *= 4

    def forward(self, tokens: Tensor, quaternion: Tensor, distance: Tensor, views: int) -> Tensor:
        N, D, h, w = tokens.shape
        v = (torch.arange(h, device=tokens.device, dtype=torch.float32) + 0.5) / h - 0.5
        u = (torch.arange(w, device=tokens.device, dtype=torch.float32) + 0.5) / w - 0.5
        grid = torch.stack((u[None].expand(h, w), v[:, None].expand(h, w)), -1).reshape(-1, 2)
        waves = [grid] + [f(grid * (3.14159265 * 2**k)) for k in range(4) for f in (torch.sin, torch.cos)]
        if self.grid is not None:
            tokens = tokens + functional.interpolate(self.grid, size=(h, w), mode="bicubic", antialias=False)
        x = self.enter(tokens.flatten(2).transpose(1, 2)) + self.position(torch.cat(waves, -1))
        camera = self.camera(quaternion, distance, grid)
        total = 0.0
        for i, block in enumerate(self.blocks):
            x = block(x, camera, views)
            if i in self.taps:
                total = total + self.reassemble[self.taps.index(i)](x)
        return self.norm(total).transpose(1, 2).reshape(N, D, h, w)


class Decoder(nn.Module):
    """Tokens and the pyramid -> [N, 8, H, W]: unit normal, matte logit, canonical coordinates, log concentration."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.up8 = nn.Sequential(conv(c.width + c.eighth, c.eighth), Residual(c.eighth))
        self.up4 = nn.Sequential(conv(c.eighth + c.quarter, c.quarter), Residual(c.quarter))
        self.up2 = nn.Sequential(conv(c.quarter + c.half, c.half), Residual(c.half))
        self.fine = nn.Conv2d(c.half + 16, 4 * 4, 3, 1, 1)  # normal and matte, unfolded to full resolution
        self.coarse = nn.Conv2d(c.quarter, 4, 3, 1, 1)  # canonical coordinates and concentration at 1/4

    def forward(self, image: Tensor, half: Tensor, quarter: Tensor, eighth: Tensor, tokens: Tensor) -> Tensor:
        def up(x: Tensor, factor: int = 2) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):  # autocast would widen to fp32 and back
                return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

        x = self.up8(torch.cat((up(tokens), eighth), 1))
        x = self.up4(torch.cat((up(x), quarter), 1))
        coarse = up(self.coarse(x).float(), 4)
        x = self.up2(torch.cat((up(x), half), 1))
        fine = functional.pixel_shuffle(self.fine(torch.cat((x, functional.pixel_unshuffle(image, 2)), 1)).float(), 2)
        return torch.cat((functional.normalize(fine[:, :3], dim=1, eps=1e-4), fine[:, 3:], coarse), 1)


class NormalNetwork(nn.Module):
    """All views of B heads: images [B * views, 4, H, W], quaternion [.., 4], distance [..] -> [B * views, 8, H, W]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.trunk, self.decoder = Encoder(config), Trunk(config), Decoder(config)

    def forward(self, image: Tensor, quaternion: Tensor, distance: Tensor, views: int) -> Tensor:
        half, quarter, eighth, tokens = self.encoder(image)
        tokens = self.trunk(tokens, quaternion, distance, views)
        return self.decoder(image, half, quarter, eighth, tokens)
