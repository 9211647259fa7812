"""Synthetic captures, the multi-view normal network's training, and its export to ONNX."""
