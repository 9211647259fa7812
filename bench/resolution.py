"""The same relief in photographs of rising resolution: what each preset takes from them (captures of bench.relief)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge.report.evaluate import SIZE, evaluate

from . import photographs
from .relief import EVALUATED


def table(paths: Sequence[Path], presets: Sequence[str], programs: Path | None, work: Path) -> None:
    """Markdown: errors in novel views of two sizes, the larger one of which shows pores and strands."""
    print(
        "\n| capture | who | vertices | CPU s | peak MB | depth_mm | "
        f"normal_deg, {SIZE} px | below_10 % | gradient | normal_deg, {EVALUATED:,} px | below_10 % | gradient |\n|"
        + "---|"
        * 12
    )
    for path in paths:
        case = photographs.Case.of(path, work)
        made = [photographs.ours(case, preset) for preset in presets]
        if programs is not None:
            made += photographs.theirs(case, programs)
        for one in made:
            vertices, faces = one.mesh()
            cells = [
                case.folder.name,
                one.who,
                f"{len(vertices):,}",
                f"{one.spent.cpu:.0f}",
                f"{one.spent.peak_mb:.0f}",
            ]
            for size in (SIZE, EVALUATED):
                score = evaluate(case.capture, vertices, faces, size=size)
                cells += [f"{score.depth_mm:.3f}"] if size == SIZE else []
                cells += [f"{score.normal_deg:.2f}", f"{score.below_10_pct:.1f}", f"{score.normal_gradient:.4f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
