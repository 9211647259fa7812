"""Which photographs may show the same: a quick look at few features, so that matching need not try every pair.

Every photograph is summed up in one vector (VLAD, Jegou et al. 2010: how its features differ from the nearest word of
a small vocabulary learnt from the set itself). Those that look alike are compared by a few hundred of their largest
features, and each photograph keeps the partners that it shares most with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from ..errors import Check, unchecked

ALL_PAIRS = 12  # photographs of which every pair is matched
PARTNERS, SURE_PARTNERS = 9, 4  # that are kept for each photograph at most, and in any case
SHARED = 6  # features that further partners must share: chance gives two or three
LOOKED_AT = 30  # photographs most alike that a photograph is compared with
LARGEST = 600  # features that are compared: the large ones are seen from far and at an angle
WORDS, ROUNDS = 48, 8  # of the vocabulary, and how often it is refined
LEARNT_FROM = 20_000  # features
RATIO = 0.85  # of the distances to the nearest and the second nearest: a match is clear below it

Pair = tuple[str, str]


def likely_pairs(
    features: Mapping[str, tuple[np.ndarray, np.ndarray]], seed: int = 0, check: Check = unchecked
) -> list[Pair]:
    """Pairs of names that are worth matching, each in the order of the names.

    features: for every photograph its descriptors [n, 128] and the sizes [n] of its features.
    """
    names = sorted(features)
    if len(names) <= ALL_PAIRS:
        return list(combinations(names, 2))
    described = {name: _normalised(_largest(*features[name])) for name in names}
    found: set[Pair] = set()
    shared: dict[Pair, int] = {}
    for a, b in _alike(names, described, seed):
        check()
        shared[a, b] = _common(described[a], described[b])
    for name in names:
        partners = sorted(
            ((count, pair) for pair, count in shared.items() if name in pair), key=lambda entry: (-entry[0], entry[1])
        )
        found |= {pair for k, (count, pair) in enumerate(partners[:PARTNERS]) if k < SURE_PARTNERS or count >= SHARED}
    return sorted(found)


def _largest(descriptors: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return descriptors[np.argsort(-sizes, kind="stable")[:LARGEST]]


def _normalised(descriptors: np.ndarray) -> np.ndarray:  # [n, 128] float32
    rows = descriptors.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _alike(names: Sequence[str], described: Mapping[str, np.ndarray], seed: int) -> list[Pair]:
    """Each photograph with those whose vectors are nearest to its own."""
    words = _vocabulary(np.concatenate([described[name] for name in names]), seed)
    vectors = np.stack([_vlad(described[name], words) for name in names])
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    found = set()
    for i, row in enumerate(similarity):
        for j in np.argsort(-row, kind="stable")[:LOOKED_AT]:
            if i != j:
                found.add((names[min(i, j)], names[max(i, j)]))
    return sorted(found)


def _vocabulary(descriptors: np.ndarray, seed: int) -> np.ndarray:  # [WORDS, 128]
    """k-means with fixed rounds."""
    rng = np.random.default_rng(seed)
    sample = descriptors[rng.permutation(len(descriptors))[:LEARNT_FROM]]
    words = sample[:WORDS].copy()
    for _ in range(ROUNDS):
        nearest = (sample @ words.T).argmax(1)
        for k in range(len(words)):
            if (nearest == k).any():
                words[k] = sample[nearest == k].mean(0)
        words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-6)
    return words


def _vlad(descriptors: np.ndarray, words: np.ndarray) -> np.ndarray:  # [WORDS * 128] unit
    if not len(descriptors):
        return np.zeros(words.size, np.float32)
    nearest = (descriptors @ words.T).argmax(1)
    parts = np.zeros_like(words)
    np.add.at(parts, nearest, descriptors - words[nearest])
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-6)  # no word outweighs the others
    flat = parts.ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def _common(a: np.ndarray, b: np.ndarray) -> int:
    """Features of a and b that are each other's nearest and clearly so."""
    if len(a) < 2 or len(b) < 2:
        return 0
    distance = np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0))
    forth, back = distance.argmin(1), distance.argmin(0)
    rows = np.arange(len(a))
    two = np.partition(distance, 1, axis=1)[:, :2]
    return int(((back[forth] == rows) & (two[:, 0] < RATIO * two[:, 1])).sum())
