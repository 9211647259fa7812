"""What an artist can say about a texture."""

from __future__ import annotations

from dataclasses import dataclass

SIZES = (1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class TextureSettings:
    """The controls of a bake. The five of the first block are those artists know from other tools."""

    frontal: float = 0.5  # 0..1: how strictly a photograph must look straight at a place to give it its colour
    silhouette: float = 0.5  # 0..1: how far from silhouettes and inner rims photographs begin to count
    back_faces: bool = False  # colour places that only their back shows, such as a lid seen from within
    equalise: bool = True  # bring brightness and tint of all photographs to one
    fill: bool = True  # colour places that no photograph shows from their neighbours and their mirror side

    size: int = 4096  # texels of a map's side
    excluded: tuple[str, ...] = ()  # names of views whose photographs are left out
    align: bool = True  # move details of the photographs onto each other before they are blended
    vignetting: bool = False  # estimate how photographs darken towards their corners
    delight: bool = False  # take the light out of the colours
    extras: bool = False  # occlusion and curvature beside the detail maps
    subdivided: bool = False  # displacement over the mesh as Catmull and Clark subdivide it, not over the mesh as it is
    bits: int = 8  # of the albedo's PNG: 8 or 16

    def __post_init__(self) -> None:
        for name in ("frontal", "silhouette"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1.")
        if not 64 <= self.size <= 16384:
            raise ValueError(f"A map of {self.size} texels cannot be made; choose one of {SIZES}.")
        if self.bits not in (8, 16):
            raise ValueError(f"A PNG of {self.bits} bits cannot be written; choose 8 or 16.")
