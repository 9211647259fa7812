"""The stages of a run, one file each, and the command line that starts them."""
