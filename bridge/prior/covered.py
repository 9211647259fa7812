"""Does something lie before a face? A hand, a scarf or hair faces otherwise than any face of the model would.

The network looks through glasses: what it sees behind them is a face (head/appearance.py notices them).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..mesh.closest import face_normals
from ..model.head_model import HeadModel
from .evidence import View, drawn
from .fit import Fitted, inverse

ODD = np.cos(np.radians(35.0))  # between the normals of the photograph and those of the fitted face
FACING = 0.4  # least cosine of the face to the camera: at its rim hair begins
LEAST_PIXELS = 500  # of a face that is judged


def covered_shares(fitted: Fitted, model: HeadModel, views: Sequence[View]) -> list[float]:  # [N] 0..1
    """How much of the face in each view does not face as the fitted one; 0 where a view shows too little of it."""
    triangles = model.template.triangles_of("skin", "eye_left", "eye_right")
    face, back = model.template.regions["face"], inverse(fitted.pose)
    cameras = [back.camera(camera) for camera in fitted.cameras]
    shares = []
    for view, camera, seen in zip(views, cameras, drawn(cameras, fitted.vertices, triangles), strict=True):
        y, x = np.nonzero((seen.triangle >= 0) & (view.matte > 0.5))
        corners = triangles[seen.triangle[y, x]]
        ours, theirs = face_normals(fitted.vertices, corners), camera.normals_to_world(view.normals[y, x])
        judged = face[corners].all(1) & (ours @ -camera.R[2] > FACING)
        odd = (ours * theirs).sum(1)[judged] < ODD
        shares.append(float(odd.mean()) if judged.sum() > LEAST_PIXELS else 0.0)
    return shares
