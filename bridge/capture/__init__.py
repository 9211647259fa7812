"""The capture folder and what is in it: cameras, photographs, masks, normal maps (docs: the capture folder)."""
