"""What the prediction leaves for a look: a normal map and a mask for each view, a list of them, a contact sheet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..capture import images
from ..capture.inputs import Inputs
from ..files import file_names
from . import picture, results

LIST, CONTACT = "normals.json", "contact.png"
RESERVED = ("contact", "normals")


def write(inputs: Inputs, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Write all files into the folder, the list last; returns its path (its fields: protocol.Result)."""
    names = file_names([found.camera.name for found in inputs.maps], RESERVED)
    views = []
    for i, (found, name, given) in enumerate(zip(inputs.maps, names, inputs.given_masks)):
        images.write_normals(folder / f"{name}.png", found.normals)
        images.write(folder / f"{name}_mask.png", np.rint(found.matte * 255).astype(np.uint8))
        head = found.matte > 0.5
        sure = None if found.confidence is None or not head.any() else round(float(found.confidence[head].mean()), 4)
        views.append(
            {
                "name": found.camera.name,
                "normals": f"{name}.png",
                "mask": f"{name}_mask.png",
                "mask_given": given is not None,
                "head_pct": round(float(head.mean() * 100), 2),
                "confidence": sure,
            }
        )
        progress(i + 1, len(names) + 1)
    photos = inputs.pixels
    page = picture.normals_sheet(photos, inputs.maps, f"{inputs.capture.name}: predicted normals")
    picture.save(page, folder / CONTACT)
    results.write_json(folder / LIST, {"capture": inputs.capture.name, "provider": inputs.provider, "views": views})
    return folder / LIST
