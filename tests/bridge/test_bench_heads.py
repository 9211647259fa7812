"""Rendered captures of the fault bench: their cameras are exact, or every number about the check would be wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.heads import SEED, photographs
from bridge.check.scene import LIMIT
from bridge.mattes.silhouettes import Agreement, Silhouette
from bridge.training.group import World
from bridge.training.models import HELD_OUT, load_avatar
from tests.support import shared


@pytest.mark.parametrize("kind", ["ring", "frontal", "dome"])
def test_masks_belong_to_their_cameras(kind):
    avatar = load_avatar(shared("data", "training_heads", HELD_OUT[2]))
    cameras, photos, masks = photographs(SEED + 2, World(None, [avatar]), 5, kind, size=160, cropped=32)
    assert {photo.shape for photo in photos} == {(160, 160, 3)} and masks[0].max() == 1
    assert any(abs(camera.K[0, 2] - 80) > 3 for camera in cameras)  # cropped, as photographs are
    outlines = [Silhouette.of(camera, mask) for camera, mask in zip(cameras, masks, strict=True)]
    assert Agreement(outlines).misfit(range(5)) < LIMIT
    shift = np.zeros((3, 3))
    shift[0, 2] = 8.0  # a crop told the wrong way round is off by more
    outlines[1] = Silhouette.of(replace(cameras[1], K=cameras[1].K + shift), masks[1])
    assert Agreement(outlines).misfit(range(5)) > LIMIT
