"""What the batch does: its options, its tasks, the files that it writes."""
