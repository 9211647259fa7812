"""The run's curve as a picture: loss of the batches and angle on the held-out identities, over views seen."""

from __future__ import annotations

import csv
from pathlib import Path


def read(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV of numbers; rows of a broken write are left out."""
    columns: dict[str, list[float]] = {}
    if not path.exists():
        return columns
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                numbers = {k: float(v) for k, v in row.items()}
            except (TypeError, ValueError):
                continue
            for k, v in numbers.items():
                columns.setdefault(k, []).append(v)
    return columns


def smoothed(values: list[float], keep: float = 0.9) -> list[float]:
    """The running mean of values."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else keep * out[-1] + (1 - keep) * value)
    return out


def draw(run: Path) -> Path | None:
    """run/log.csv and run/validation.csv -> run/curve.png; None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    log, validation = read(run / "log.csv"), read(run / "validation.csv")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in ("normal", "canonical", "matte"):
        if name in log:
            left.plot(log["views"], smoothed(log[name]), label=name)
    left.set(xlabel="views seen", ylabel="loss (running mean)", yscale="log")
    for name in ("ict", "avatar"):
        if f"{name}_mean" in validation:
            right.plot(validation["views"], validation[f"{name}_mean"], "o-", label=f"unseen {name} heads")
    right.set(xlabel="views seen", ylabel="mean angle, degrees", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    path = run / "curve.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
