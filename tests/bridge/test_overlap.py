"""Which pairs of photographs are worth matching."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("pycolmap")

from bridge.calibrate import overlap  # noqa: E402


def around(count: int, seen: int = 300, step: int = 60, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Photographs in a ring: each sees a stretch of one band of features, its neighbours most of the same."""
    rng = np.random.default_rng(seed)
    band = rng.integers(0, 256, (count * step, 128)).astype(np.float32)
    features = {}
    for i in range(count):
        chosen = (i * step + np.arange(seen)) % len(band)
        noisy = np.clip(band[chosen] + rng.normal(0, 12, (seen, 128)), 0, 255).astype(np.uint8)
        features[f"{i:03d}.jpg"] = noisy, rng.uniform(1, 9, seen)
    return features


def test_few_photographs_are_all_compared():
    names = sorted(around(6))
    assert overlap.likely_pairs(around(6)) == list(combinations(names, 2))


def test_neighbours_are_found_and_the_number_of_pairs_does_not_grow_with_the_square():
    for count in (24, 48):
        pairs = set(overlap.likely_pairs(around(count)))
        neighbours = {
            (f"{i:03d}.jpg", f"{j:03d}.jpg")
            for i in range(count)
            for j in range(i + 1, count)
            if min(j - i, count - (j - i)) <= 2
        }
        assert neighbours <= pairs
        assert len(pairs) <= count * overlap.PARTNERS


def test_the_same_photographs_give_the_same_pairs():
    assert overlap.likely_pairs(around(20)) == overlap.likely_pairs(around(20))


def test_a_photograph_without_features_stands_in_nobodys_way():
    features = around(14)
    features["000.jpg"] = np.zeros((0, 128), np.uint8), np.zeros(0)
    pairs = overlap.likely_pairs(features)
    assert ("005.jpg", "006.jpg") in pairs
