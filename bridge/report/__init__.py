"""What is told about a result: quality, metrics against ground truth, pictures, files."""
