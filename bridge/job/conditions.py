"""Which stages take part in a run: questions to its settings."""

from __future__ import annotations

from ..service.protocol import JobSettings


def for_mesh(settings: JobSettings) -> bool:
    return settings.stage == "mesh"


def for_maps(settings: JobSettings) -> bool:
    return settings.stage == "normals"


def always(settings: JobSettings) -> bool:
    return True


def refining(settings: JobSettings) -> bool:
    return for_mesh(settings) and settings.refine_cameras


def measured(settings: JobSettings) -> bool:
    return settings.normals == "measured"


def predicted(settings: JobSettings) -> bool:
    return not measured(settings)


def carving_predicted(settings: JobSettings) -> bool:
    return for_mesh(settings) and predicted(settings)


def matching(settings: JobSettings) -> bool:
    return for_mesh(settings) and (predicted(settings) if settings.match is None else settings.match)


def texturing(settings: JobSettings) -> bool:
    return for_mesh(settings) and settings.texture is not None


def wrapping(settings: JobSettings) -> bool:
    return for_mesh(settings) and bool(settings.wrap)
