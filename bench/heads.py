"""Captures rendered on the fly: photographs of heads that no network was trained on, with exact cameras and masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bridge.capture.cameras import Camera
from bridge.training.group import World, make_group
from bridge.training.staging import RIGS, head_focal

SIZE, CROPPED = 512, 32  # pixels of a photograph's side, and how many more were rendered
LEAST_VIEWS, MOST_VIEWS = 8, 10
ICT_HEADS = 4  # identities of the head model, beside the avatars kept away from training
SEED = 7_000_000_000  # neither training nor validation draws from here


def held_out(data: Path) -> Iterator[tuple[str, list[Camera], list[np.ndarray], list[np.ndarray]]]:
    """Name, cameras, photographs [s, s, 3] sRGB 0..1 and masks [s, s] of each head, kinds of rigs in turn.

    data: the folder with ict_facekit.npz and training_heads.
    """
    whole = World.load(data, held_out=True)
    worlds = [(avatar.name, World(None, [avatar])) for avatar in whole.avatars]
    worlds += [(f"ict_{i}", World(whole.ict, [])) for i in range(ICT_HEADS)]
    for i, (name, world) in enumerate(worlds):
        kind = list(RIGS)[i % len(RIGS)]
        views = LEAST_VIEWS + i % (MOST_VIEWS - LEAST_VIEWS + 1)
        yield f"{name}, {kind} of {views}", *photographs(SEED + i, world, views, kind)


def photographs(
    seed: int, world: World, views: int, kind: str, size: int = SIZE, cropped: int = CROPPED
) -> tuple[list[Camera], list[np.ndarray], list[np.ndarray]]:
    """As the training's generator takes them, cropped at random so that no principal point is in the middle."""
    rng = np.random.default_rng(seed)
    group = make_group(seed, world, views, size + cropped, kind=kind)
    cameras, photos, masks = [], [], []
    for i in range(views):
        focal = head_focal(float(group.distance[i]))
        K = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1.0]])
        towards = np.array([0, 0, float(group.distance[i])])
        camera = Camera(f"cam{i:02d}", K, group.rotation[i].astype(float), towards, 1, 1)
        x, y = (int(k) for k in rng.integers(0, cropped + 1, 2))
        part = np.s_[y : y + size, x : x + size]
        cameras.append(camera.resize(size + cropped, size + cropped).crop(x, y, size, size))
        photos.append(group.image[i][part].astype(np.float32) / 255)
        masks.append(group.matte[i][part].astype(np.float32) / 255)
    return cameras, photos, masks
