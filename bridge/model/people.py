"""How MakeHuman's people differ, as a few numbers: people are sampled from its targets and brought to main components.

Targets of ancestry, sex, age and weight blend as MakeHuman blends them; those of single features are drawn around
zero, left and right nearly alike. Every person is laid on the mean by a similarity of the head, since where it is and
how large it is are found anyway; what remains are the components (Turk and Pentland 1991).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from ..errors import Check, unchecked
from ..head.canonical import similarity
from .targets import MM, read_target

ANCESTRY = ("african", "asian", "caucasian")
AGES = ("baby", "child", "young", "old")
ROOMS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "cheek", "chin", "ears", "neck")
LEFT_OUT = (
    "trans-in",
    "trans-out",
    "ear-shape",
    "head-trans",
    "neck-trans",
    "measure-neck-height",
    "mouth-scale-depth",
)
OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
)
FEATURE = 0.33  # standard deviation of a feature's weight, -1..1
ASYMMETRY = 0.06  # between left and right
SAMPLES = 600
COMPONENTS = 100
SEED = 20261127
# whose size and place the mean takes: a grown person of no ancestry and sex in particular
MIDDLE = {f"{where}-{sex}-young": 1 / 6 for where in ANCESTRY for sex in ("male", "female")} | {
    f"universal-{sex}-young-averagemuscle-averageweight": 0.5 for sex in ("male", "female")
}


@dataclass(frozen=True, eq=False)
class Targets:
    """Target name -> row of a sparse matrix of displacements in millimetres."""

    rows: dict[str, int]
    deltas: sparse.csr_matrix  # [targets, 3 V]

    @classmethod
    def read(cls, folder: Path | zipfile.Path, place: np.ndarray, count: int) -> Targets:
        """All targets that shape heads. place [vertices of the file]: the template's vertex, -1 for none."""
        paths = [path for room in ROOMS for path in (folder / room).iterdir() if path.name.endswith(".target.gz")]
        paths += [path for path in (folder / "macrodetails").iterdir() if path.name.endswith(".target.gz")]
        paths = sorted((p for p in paths if not any(word in p.name for word in LEFT_OUT)), key=lambda p: p.name)
        names, lines, columns, values = {}, [], [], []
        for row, path in enumerate(paths):
            names[path.name.removesuffix(".target.gz")] = row
            target = read_target(path)
            index = place[target[:, 0].astype(int)]
            known = index >= 0
            lines.append(np.full(3 * known.sum(), row))
            columns.append((3 * index[known, None] + np.arange(3)).ravel())
            values.append(target[known, 1:].ravel() * MM)
        cells = (np.concatenate(values), (np.concatenate(lines), np.concatenate(columns)))
        return cls(names, sparse.csr_matrix(cells, (len(paths), 3 * count)))

    def person(self, weights: dict[str, float]) -> np.ndarray:  # [V, 3] mm, displacements
        row = np.zeros(len(self.rows))
        for name, value in weights.items():
            if name in self.rows:
                row[self.rows[name]] += value
        return (row @ self.deltas).reshape(-1, 3)


def draw(targets: Targets, rng: np.random.Generator) -> dict[str, float]:
    """Weights of a random person's targets."""
    ancestry = rng.dirichlet(np.full(3, 0.5))
    male = rng.beta(0.6, 0.6)
    age = rng.choice([rng.uniform(0.7, 2), rng.uniform(2, 3)], p=[0.25, 0.75])  # 0 baby, 1 child, 2 young, 3 old
    weight = float(np.clip(rng.normal(0, 0.45), -1, 1))
    muscle = float(np.clip(rng.normal(0, 0.4), -1, 1))
    ages = {AGES[int(age)]: 1 - age % 1, AGES[min(int(age) + 1, 3)]: age % 1}
    levels = {
        "weight": {"average": 1 - abs(weight), "max" if weight > 0 else "min": abs(weight)},
        "muscle": {"average": 1 - abs(muscle), "max" if muscle > 0 else "min": abs(muscle)},
    }
    found: dict[str, float] = {}
    for sex, of_sex in (("male", male), ("female", 1 - male)):
        for years, of_age in ages.items():
            for where, share in zip(ANCESTRY, ancestry):
                found[f"{where}-{sex}-{years}"] = share * of_sex * of_age
            for m, of_muscle in levels["muscle"].items():
                for w, of_weight in levels["weight"].items():
                    name = f"universal-{sex}-{years}-{m}muscle-{w}weight"
                    found[name] = found.get(name, 0) + of_sex * of_age * of_muscle * of_weight
    return found | _features(targets, rng)


def _features(targets: Targets, rng: np.random.Generator) -> dict[str, float]:
    found: dict[str, float] = {}
    shared: dict[str, float] = {}
    for name in targets.rows:
        if name.startswith(("african", "asian", "caucasian", "universal")):
            continue
        stem, _, end = name.rpartition("-")
        pair = next(((a, b) for a, b in OPPOSITES if end in (a, b)), None)
        if pair is None:  # a shape of its own, such as a round head
            found[name] = float(rng.uniform(0, 0.5)) if rng.random() < 0.25 else 0.0
            continue
        if end == pair[1]:
            continue  # drawn with its opposite
        common = stem[2:] if stem[:2] in ("l-", "r-") else stem
        value = shared.setdefault(common, float(rng.normal(0, FEATURE)))
        if common != stem:
            value += float(rng.normal(0, ASYMMETRY))
        value = float(np.clip(value, -1, 1))
        found[f"{stem}-{pair[0] if value > 0 else pair[1]}"] = abs(value)
    return found


def model_of_people(
    base: np.ndarray, targets: Targets, head: np.ndarray, check: Check = unchecked
) -> tuple[np.ndarray, np.ndarray]:  # [V, 3], [COMPONENTS, V, 3] float32
    """The mean person in millimetres, and components each of which is one standard deviation. head: [V] bool."""
    rng = np.random.default_rng(SEED)
    people = np.empty((SAMPLES, len(base), 3), np.float32)
    for i in range(SAMPLES):
        if i % 20 == 0:
            check()
        people[i] = base + targets.person(draw(targets, rng))
    mean = base + targets.person(MIDDLE)
    for _ in range(2):
        for i in range(SAMPLES):
            found = similarity(people[i][head].astype(np.float64), mean[head])
            assert found is not None  # a head is no line
            people[i] = found.apply(people[i].astype(np.float64))
        check()
        mean = people.mean(0, dtype=np.float64)
    flat = (people - mean.astype(np.float32)).reshape(SAMPLES, -1)
    inside = np.repeat(head, 3)
    gram = flat[:, inside] @ flat[:, inside].T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    best = np.argsort(values)[::-1][:COMPONENTS]
    scores = vectors[:, best] * np.sqrt(SAMPLES)  # unit variance
    components = scores.T.astype(np.float32) @ flat / SAMPLES
    return mean, components.reshape(COMPONENTS, -1, 3)
