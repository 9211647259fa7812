"""The first key frame: its whole reconstruction, whose wrapped template becomes the identity of all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..capture.inputs import Inputs, read_inputs
from ..errors import BridgeError, Check, unchecked
from ..job.wrap import with_landmarks
from ..model.load import load_template
from ..service.wire import Control
from .identity import Identity, identity_of
from .plan import Plan
from .solve import WRAPPED, Reconstruction
from .store import Store

FILE = "identity.npz"
KEY_FOLDER = "key"  # in the output: the whole runs of the key frames


def key_identity(plan: Plan, store: Store, number: int, control: Control, check: Check = unchecked) -> Path:
    """Solve the key frame, unless that is done; the file of its identity. Raises BridgeError where it cannot be."""
    source = plan.open()
    key = plan.key(source, number)
    path = store.folder / KEY_FOLDER / FILE
    mark = path.with_name(f"{FILE}.key")
    if path.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == key:
        return path
    keys = Store(store.folder / KEY_FOLDER)
    keys.claim()
    try:
        with keys.work(number, key) as folder:
            Reconstruction(plan, source)(number, folder, control)
            placed = source.place(number, folder / "photographs")
            identity = identity_in(folder, plan.settings.wrap, read_inputs(placed), check)
            identity.save(path)
    except BridgeError as error:
        if error.code == "output":
            raise
        sentence = f"Key frame {number} cannot be reconstructed: {error.sentence}"
        raise BridgeError(error.code, sentence, f"{error.cure} Or choose another with --key.".strip()) from None
    mark.write_text(key, encoding="utf-8")
    return path


def identity_in(folder: Path, template_name: str, inputs: Inputs, check: Check = unchecked) -> Identity:
    """The identity of a frame that a Reconstruction left in a folder."""
    return wrapped_in(folder, template_name, check).with_look(inputs.cameras, inputs.pixels)


def wrapped_in(folder: Path, template_name: str, check: Check = unchecked) -> Identity:
    """The same without what its skin looks like."""
    template = with_landmarks(load_template(template_name, check), template_name, check)
    assert template.landmarks is not None
    with np.load(folder / WRAPPED, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    regions = {name.removeprefix("region_"): value for name, value in arrays.items() if name.startswith("region_")}
    return identity_of(arrays, template.landmarks, regions)
