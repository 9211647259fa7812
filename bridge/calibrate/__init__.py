"""Photographs -> capture: structure from motion through COLMAP's own library, pycolmap (BSD licence).

photographs.py  which files, their EXIF, turned the way they were taken
database.py     cameras, images, features and matches in COLMAP's database
motion.py       poses and points from them, and who failed and why
metric.py       the scale from a known length
markers.py      the scale from printed markers
cancellation.py     long calls that a user can stop
report.py       what is told to the user
cli.py          python -m bridge calibrate | scale
"""

# OpenCV must be there before pycolmap: loaded after it (5.0 after 4.2.1), its first call ends in a corrupt heap
import cv2  # noqa: F401
