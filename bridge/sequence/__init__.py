"""Many frames of one performance: the frames of a source, one store for all of them, and workers that solve them."""
