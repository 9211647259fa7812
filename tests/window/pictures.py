"""python -m tests.window.pictures runs/window-VERSION/head: the README's pictures from the window test's shots."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images"
VIEW = (140, 140, 510, 610)  # the head in the viewport, at 1100 x 720
STRIP = ("2-running-25", "2-running-50", "2-running-75", "3-done")
COLOURS = 256  # of the palette: the files stay small


def main(folder: Path) -> int:
    def save(image: Image.Image, name: str) -> None:
        path = TARGET / name
        image = image.convert("RGB")
        palette = image.quantize(COLOURS)  # skin is a matter of few, close colours: without dither it gets blotches
        image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
        print(f"{path.name}: {image.width} x {image.height}, {path.stat().st_size // 1024} kB")

    shots = {name: Image.open(folder / f"{name}.png") for name in (*STRIP, "1-ready")}
    save(shots["2-running-50"], "panel.png")
    save(shots["3-done"], "done.png")
    width, height = VIEW[2] - VIEW[0], VIEW[3] - VIEW[1]
    strip = Image.new("RGB", (len(STRIP) * width, height))
    for i, name in enumerate(STRIP):
        strip.paste(shots[name].crop(VIEW), (i * width, 0))
    save(strip.resize((strip.width * 4 // 5, strip.height * 4 // 5), Image.Resampling.LANCZOS), "growing.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
