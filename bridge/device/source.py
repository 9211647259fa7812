"""The kernels' source as one translation unit, and what it is compiled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

BASE = Path(__file__).parent / "base.cu"
# no contraction to FMA: it would open cracks between triangles, and results would differ from the CPU's
OPTIONS = ("--std=c++14", "--fmad=false")


def join(files: Sequence[Path], constants: Mapping[str, int | float]) -> str:
    """base.cu and these files, constants as macros; #line keeps the compiler's messages about the right file."""
    lines = [f"#define {name} {value!r}" for name, value in constants.items()]
    for file in (BASE, *files):
        lines += [f'#line 1 "{file.name}"', file.read_text(encoding="utf-8")]
    return "\n".join(lines)
