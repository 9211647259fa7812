"""The half-edge mesh of remesh.py in a GPU's memory: the same remeshing by kernels, without copies to the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Device
from . import DeviceSurface, Surface
from .cuda_source import CHUNK, DIGIT_BITS, RANK_BINS, source
from .remesh import TOLERANCE, HalfEdgeMesh
from .topology import find_rings

FLIP_ROUNDS = 3  # in each the best flip of every neighbourhood; of 1 to 12 none gives surfaces that are closer
MORTON_BITS = 30

i32, f64 = np.int32, np.float64


class DeviceMesh:
    """See HalfEdgeMesh. Kernels are launched over as many vertices and faces as there may be; how many there are only
    the device knows, until somebody asks for vertex_count, face_count or an array: that waits and copies.

    Everything is gathered, or summed in integers: the same bits on every run, in any order of the threads.
    """

    def __init__(self, mesh: HalfEdgeMesh, device: Device | None = None) -> None:
        if device is None:
            from ..device.nvidia import CupyDevice

            device = CupyDevice(source())
        self.device = device
        self._columns = mesh.data.shape[1]
        self._side: dict[str, int] = {}  # of each pair of buffers, the one in use
        self._counts = device.upload("counts 0", np.array([mesh.vertex_count, mesh.face_count], np.int32))
        self._known: tuple[int, int] | None = (mesh.vertex_count, mesh.face_count)
        self._data = device.upload("data 0", mesh.data)
        self._start = device.upload("start 0", mesh.start)
        self._twin = device.upload("twin 0", mesh.twin)
        self._degree = device.upload("degree", mesh.degree)

    @property
    def vertex_count(self) -> int:
        return self._read_counts()[0]

    @property
    def face_count(self) -> int:
        return self._read_counts()[1]

    # copies on the host
    @property
    def data(self) -> np.ndarray:  # [V, D]
        flat = self.device.download(self._data[: self.vertex_count * self._columns])
        return flat.reshape(-1, self._columns)

    @property
    def start(self) -> np.ndarray:  # [3F]
        return self.device.download(self._start[: 3 * self.face_count])

    @property
    def faces(self) -> np.ndarray:  # [F, 3]
        return self.start.reshape(-1, 3)

    @property
    def twin(self) -> np.ndarray:  # [3F]
        return self.device.download(self._twin[: 3 * self.face_count])

    @property
    def degree(self) -> np.ndarray:  # [V]
        return self.device.download(self._degree[: self.vertex_count])

    def rows(self) -> Any:  # [V * D] on the device
        """The data for kernels that change it."""
        return self._data

    def surface(self) -> DeviceSurface:
        """Positions (a copy) with the live connectivity, for the rasteriser."""
        V, F = self._read_counts()
        outgoing = self._find_rings(V, F)
        positions = self.device.buffer("positions", 3 * V, np.float32)
        self.device.launch("copy_positions", V, 1, self._data, i32(self._columns), self._counts, positions)
        return DeviceSurface(positions, self._start, self._twin, outgoing, V, F)

    def host_surface(self) -> Surface:
        """The same on the host, with connectivity of its own."""
        start, twin = self.start, self.twin
        rings = find_rings(start, twin, self.vertex_count)
        return Surface(np.ascontiguousarray(self.data[:, :3]), start.reshape(-1, 3), twin, *rings)

    def remesh(self, max_vertices: int) -> None:
        """One pass, see HalfEdgeMesh. Which splits a full mesh leaves out goes by bins of 0.3 % of the squared length:
        it may stay below max_vertices by the edges of one bin."""
        surface = self.surface()
        V, F = surface.vertex_count, surface.face_count
        room = max(V, min(max_vertices, V + 3 * F // 2))  # every edge may split
        face_room = F + 2 * (room - V)
        self._collapse(surface)
        self._compact(V, F, room)
        self._split(F, max_vertices, face_room)
        self._find_rings(room, face_room)
        self._flip(room, face_room)
        self._known = None

    def _collapse(self, surface: DeviceSurface) -> None:
        V, F, launch, buffer = surface.vertex_count, surface.face_count, self.device.launch, self.device.buffer
        data, columns, start, twin, counts = self._data, i32(self._columns), self._start, self._twin, self._counts
        normals, lengths = buffer("normals", 3 * V, np.float32), buffer("lengths", V, np.float32)
        launch("vertex_normals", V, 1, surface.vertices, start, twin, surface.outgoing, i32(V), normals, lengths)
        flagged = buffer("flagged", F, np.int8)
        launch("flag_faces", F, 1, data, columns, start, counts, normals, f64(TOLERANCE), flagged)
        keys = buffer("keys", 3 * F, np.uint64)
        best = buffer("best", V, np.uint64, zero=True)
        launch("rank_collapses", 3 * F, 1, data, columns, start, twin, counts, flagged, f64(TOLERANCE), keys, best)
        ring = buffer("best of a ring", V, np.uint64)
        launch("spread_keys", V, 1, best, start, twin, surface.outgoing, counts, ring)
        launch("spread_keys", V, 1, ring, start, twin, surface.outgoing, counts, best)
        launch("choose_collapses", 3 * F, 1, data, columns, start, twin, self._degree, counts, normals, best, keys)
        launch("collapse_edges", 3 * F, 1, data, columns, start, twin, self._degree, counts, keys)

    def _compact(self, V: int, F: int, room: int) -> None:
        """Closes the gaps, in order, and makes room for the splits' vertices."""
        launch, buffer = self.device.launch, self.device.buffer
        vertex_place, face_place = buffer("vertex place", V + 1, np.int32), buffer("face place", F + 1, np.int32)
        launch("mark_left", max(V, F) + 1, 1, self._start, self._degree, self._counts, vertex_place, face_place)
        self._run(vertex_place, V + 1)
        self._run(face_place, F + 1)
        data = self._other("data", room * self._columns, np.float32)
        start, twin = self._other("start", 3 * F, np.int32), self._other("twin", 3 * F, np.int32)
        counts = self._other("counts", 2, np.int32)
        launch("compact", max(V, F), 1, self._data, i32(self._columns), self._start, self._twin, self._degree,
               self._counts, vertex_place, face_place, data, start, twin, counts)  # fmt: skip
        self._data, self._start, self._twin, self._counts = data, start, twin, counts

    def _split(self, F: int, max_vertices: int, face_room: int) -> None:
        launch, buffer, columns = self.device.launch, self.device.buffer, i32(self._columns)
        ranks = buffer("ranks", 3 * F, np.float32)
        bins = buffer("bins", RANK_BINS + 1, np.int32, zero=True)
        launch("rank_splits", 3 * F, 1, self._data, columns, self._start, self._twin, self._counts, f64(TOLERANCE),
               ranks, bins)  # fmt: skip
        self._run(bins, RANK_BINS + 1)
        vertex_place, face_place = buffer("vertex place", F + 1, np.int32), buffer("face place", F + 1, np.int32)
        launch("choose_splits", F + 1, 1, self._twin, self._counts, i32(F), i32(max_vertices), bins, ranks,
               vertex_place, face_place)  # fmt: skip
        self._run(vertex_place, F + 1)
        self._run(face_place, F + 1)
        start, twin = self._other("start", 3 * face_room, np.int32), self._other("twin", 3 * face_room, np.int32)
        counts, moved = self._other("counts", 2, np.int32), buffer("moved", 6 * F, np.int32)
        launch("split_faces", F, 1, self._data, columns, self._start, self._twin, self._counts, ranks, vertex_place,
               face_place, i32(F), start, twin, moved, counts)  # fmt: skip
        launch("link_faces", 3 * F, 1, self._twin, self._counts, ranks, moved, twin)
        self._start, self._twin, self._counts = start, twin, counts

    def _flip(self, room: int, face_room: int) -> None:
        launch = self.device.launch
        keys = self.device.buffer("keys", 3 * face_room, np.uint64)
        for _ in range(FLIP_ROUNDS):
            best = self.device.buffer("best", room, np.uint64, zero=True)
            launch("rank_flips", 3 * face_room, 1, self._data, i32(self._columns), self._start, self._twin,
                   self._degree, self._counts, keys, best)  # fmt: skip
            launch("choose_flips", 3 * face_room, 1, self._start, self._twin, self._counts, best, keys)
            launch("flip_edges", 3 * face_room, 1, self._start, self._twin, self._degree, self._counts, keys)

    def sort_memory(self) -> None:
        """Puts neighbours in space next to each other in memory (remeshing appends, so order decays)."""
        launch, buffer, columns = self.device.launch, self.device.buffer, i32(self._columns)
        V, F = self._read_counts()
        box = buffer("box", 6, np.uint32, zero=True)
        launch("find_box", V, 1, self._data, columns, i32(V), box)
        keys, order = buffer("sort keys 0", V, np.uint32), buffer("order 0", V, np.int32)
        launch("morton_keys", V, 1, self._data, columns, i32(V), box, keys, order)
        order = self._sort(keys, order, V, MORTON_BITS)
        new_vertex = buffer("vertex place", V, np.int32)
        launch("invert_order", V, 1, order, i32(V), new_vertex)
        data = self._other("data", V * self._columns, np.float32)
        launch("reorder_vertices", V, 1, self._data, columns, order, i32(V), data)
        keys, order = buffer("sort keys 0", F, np.uint32), buffer("order 0", F, np.int32)
        launch("face_keys", F, 1, self._start, new_vertex, i32(F), keys, order)
        order = self._sort(keys, order, F, V.bit_length())
        new_face = buffer("face place", F, np.int32)
        launch("invert_order", F, 1, order, i32(F), new_face)
        start, twin = self._other("start", 3 * F, np.int32), self._other("twin", 3 * F, np.int32)
        launch("reorder_faces", F, 1, self._start, self._twin, order, new_vertex, new_face, i32(F), start, twin)
        self._data, self._start, self._twin = data, start, twin
        self._find_rings(V, F)

    def _sort(self, keys: Any, order: Any, count: int, bits: int) -> Any:
        """order [count] by keys [count] below 2^bits, stable; both in buffers number 0, the result in either."""
        launch, buffer = self.device.launch, self.device.buffer
        chunks, digits = -(-count // CHUNK), 1 << DIGIT_BITS
        for turn, shift in enumerate(range(0, bits, DIGIT_BITS)):
            places = buffer("digits", digits * chunks, np.int32, zero=True)
            launch("count_digits", chunks, 1, keys, i32(count), i32(shift), i32(chunks), places)
            self._run(places, digits * chunks)
            side = 1 - turn % 2
            new_keys = buffer(f"sort keys {side}", count, np.uint32)
            new_order = buffer(f"order {side}", count, np.int32)
            launch(
                "place_digits", chunks, 1, keys, order, i32(count), i32(shift), i32(chunks), places, new_keys, new_order
            )
            keys, order = new_keys, new_order
        return order

    def _find_rings(self, V: int, F: int) -> Any:
        """Counts degrees; returns outgoing."""
        self._degree = self.device.buffer("degree", V, np.int32, zero=True)
        outgoing = self.device.buffer("outgoing", V, np.int32, zero=True)
        self.device.launch("find_rings", 3 * F, 1, self._start, self._counts, self._degree, outgoing)
        return outgoing

    def _run(self, values: Any, count: int, level: int = 0) -> None:
        """Replaces values [count] by the sums of those before each."""
        chunks = -(-count // CHUNK)
        sums = self.device.buffer(f"sums {level}", chunks, np.int32, zero=chunks == 1)
        if chunks > 1:
            self.device.launch("sum_chunks", chunks, 1, values, i32(count), sums)
            self._run(sums, chunks, level + 1)
        self.device.launch("run_chunks", chunks, 1, values, i32(count), sums)

    def _other(self, name: str, count: int, dtype: type) -> Any:
        """The buffer of this pair that is not in use, to be written next."""
        self._side[name] = 1 - self._side.get(name, 0)
        return self.device.buffer(f"{name} {self._side[name]}", count, dtype)

    def _read_counts(self) -> tuple[int, int]:
        if self._known is None:
            vertices, faces = self.device.download(self._counts)
            self._known = int(vertices), int(faces)
        return self._known
