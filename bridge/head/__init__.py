"""Where the head is in the world: its canonical frame, the way it looks, upright, scale."""
