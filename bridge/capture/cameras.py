"""One calibrated pinhole camera and the arithmetic on it. NumPy only.

Convention (docs/architecture.md): OpenCV axes (x right, y down, z forward), x_cam = R x_world + t; the image covers
[0, W] x [0, H] and the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

OPENGL = np.array([1.0, -1.0, -1.0])  # OpenCV's camera axes against those of normal maps


@dataclass(frozen=True)
class Distortion:
    """OpenCV radial-tangential distortion (``cv2.undistort`` order is k1 k2 p1 p2 k3 k4 k5 k6)."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0

    def coefficients(self) -> np.ndarray:  # [8]
        return np.array([self.k1, self.k2, self.p1, self.p2, self.k3, self.k4, self.k5, self.k6])


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera. Lengths are the capture's world units, K is in pixels."""

    name: str
    K: np.ndarray  # [3, 3] upper triangular, K[2, 2] = 1
    R: np.ndarray  # [3, 3] world -> camera rotation
    t: np.ndarray  # [3]
    width: int
    height: int
    distortion: Distortion | None = None

    @property
    def center(self) -> np.ndarray:  # [3]
        """The camera's position in the world: -R^T t."""
        return -self.R.T @ self.t

    @property
    def forward(self) -> np.ndarray:  # [3]
        """Unit viewing direction (the optical axis) in the world."""
        return self.R[2]

    @property
    def up(self) -> np.ndarray:  # [3]
        """Unit direction in the world that is up in the image."""
        return -self.R[1]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [N, 3] -> pixels [N, 2] and depth along the optical axis [N] (distortion is not applied)."""
        in_camera = points @ self.R.T + self.t
        depth = in_camera[:, 2]
        homogeneous = in_camera @ self.K.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return homogeneous[:, :2] / homogeneous[:, 2:], depth

    def rays(self, pixels: np.ndarray) -> np.ndarray:  # [N, 2] -> [N, 3]
        """Unit directions in the world of the rays through the pixels."""
        homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        directions = homogeneous @ np.linalg.inv(self.K).T @ self.R
        return directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def normals_from_world(self, normals: np.ndarray) -> np.ndarray:  # [..., 3]
        """World normals in the axes of a normal map: x right, y up, z to the camera."""
        return (normals @ self.R.T.astype(normals.dtype)) * OPENGL.astype(normals.dtype)

    def normals_to_world(self, normals: np.ndarray) -> np.ndarray:  # [..., 3]
        """The opposite of normals_from_world."""
        return (normals * OPENGL.astype(normals.dtype)) @ self.R.astype(normals.dtype)

    def crop(self, x0: float, y0: float, width: int, height: int) -> Camera:
        """The camera of the sub-image that starts at pixel corner (x0, y0); it may reach outside the image."""
        K = self.K.copy()
        K[0, 2] -= x0
        K[1, 2] -= y0
        return replace(self, K=K, width=width, height=height)

    def resize(self, width: int, height: int) -> Camera:
        """The camera of the same field of view sampled at another size. Corners map to corners, so no half pixel."""
        K = np.diag([width / self.width, height / self.height, 1.0]) @ self.K
        return replace(self, K=K, width=width, height=height)

    def transformed(self, scale: float, rotation: np.ndarray, offset: np.ndarray) -> Camera:
        """The camera after the world is mapped by x' = scale * rotation @ x + offset (depths scale too)."""
        R = self.R @ rotation.T
        return replace(self, R=R, t=scale * self.t - R @ offset)


@dataclass(frozen=True, eq=False)
class Similarity:
    """A map between two worlds: x' = scale * rotation @ x + offset."""

    scale: float
    rotation: np.ndarray  # [3, 3]
    offset: np.ndarray  # [3]

    def points(self, points: np.ndarray) -> np.ndarray:  # [N, 3]
        return self.scale * points @ self.rotation.T + self.offset

    def camera(self, camera: Camera) -> Camera:
        """The camera of the mapped world; its pictures stay the same."""
        return camera.transformed(self.scale, self.rotation, self.offset)

    def after(self, first: Similarity) -> Similarity:
        """The similarity that does first, then this."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale * self.rotation @ first.offset + self.offset,
        )
