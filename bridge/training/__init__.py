"""Synthetic captures, the multi-view normal network's training, and its export to ONNX."""

from .. import mesh as _mesh  # noqa: F401 - prepares numba before any module here imports it
