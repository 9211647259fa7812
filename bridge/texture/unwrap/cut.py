"""Where a head is cut open so that it lies flat: the underside apart, a seam down the back, nothing across the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra

from ...mesh.topology import build_twins

UNDERSIDE = -0.55  # a face looks down when its normal's share along up is below this
LOWEST = 0.3  # the underside lies in this share of the height
SMOOTHING = 12  # rounds of a vote among neighbours that straightens the border of the underside
LEAST_SHARE = 0.002  # of the faces: smaller islands of a label join what is around them
FRONT_COST = 12.0  # times its length that an edge in the middle of the face costs a seam; 1 at the back
Directions = tuple[np.ndarray, np.ndarray]  # up and front of a head, [3] each, unit


@dataclass(frozen=True, eq=False)
class HalfEdges:
    """The half-edges of a mesh, H = 3 F of them, and the faces that hang together across them."""

    start: np.ndarray  # [H] vertex
    end: np.ndarray  # [H] vertex
    face: np.ndarray  # [H]
    twin: np.ndarray  # [H] the half-edge on the other side, -1 at a border
    crossing: np.ndarray  # [H] bool: faces of one label on both sides
    graph: csr_matrix  # [F, F] faces joined by those


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [F, 3], as long as twice the area
    """Normals of the faces, twice their areas long."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def split_underside(vertices: np.ndarray, faces: np.ndarray, up: np.ndarray) -> np.ndarray:  # [F] int32
    """0 for the head, 1 for what closes the neck or bust below: one piece, or none where nothing lies there."""
    twin = build_twins(np.ascontiguousarray(faces, np.int32), len(vertices))
    normals = face_normals(vertices, faces)
    height = vertices[faces].mean(1) @ up
    low = height.min() + LOWEST * np.ptp(height)
    down = normals @ up / np.maximum(np.linalg.norm(normals, axis=1), 1e-30)
    below = ((down < UNDERSIDE) & (height < low)).astype(np.float64)
    pairs = _dual_pairs(twin)
    graph = _graph(pairs, len(faces))
    graph = graph + graph.T
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1)
    for _ in range(SMOOTHING * max(1, int((len(faces) / 50_000) ** 0.5))):
        below = 0.5 * below + 0.5 * (graph @ below) / degree
    label = (below > 0.5).astype(np.int32)
    for value in (1, 0):  # one piece each
        inside = np.flatnonzero(label == value)
        if not len(inside):
            continue
        pieces = connected_components(graph[inside][:, inside], directed=False)[1]
        sizes = np.bincount(pieces)
        least = LEAST_SHARE * len(faces) if value == 0 else sizes.max()
        label[inside[sizes[pieces] < least]] = 1 - value
    return label if label.sum() >= LEAST_SHARE * len(faces) else np.zeros(len(faces), np.int32)


def open_charts(
    vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, up: np.ndarray, front: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Corners cut apart so that every connected piece of every label is a disc.

    Returns faces_uv [F, 3] int32 (rows of the opened vertices) and origin [T]: the vertex each row came from.
    """
    faces = np.ascontiguousarray(faces, np.int32)
    twin = build_twins(faces, len(vertices))
    start = faces.reshape(-1)
    end = np.roll(faces, -1, 1).reshape(-1)
    face = np.arange(len(start)) // 3
    crossing = twin >= 0
    crossing[crossing] = labels[face[crossing]] == labels[face[twin[crossing]]]
    graph = _graph(np.stack([face[crossing], face[twin[crossing]]], 1), len(faces))
    count, piece = connected_components(graph, directed=False)
    cut = ~crossing  # half-edges
    half = HalfEdges(start, end, face, twin, crossing, graph)
    for k in range(count):
        members = np.flatnonzero(piece == k)
        # from the middle of the face outwards, so that what meets last, the cut, meets at the back
        seed = members[np.argmax(vertices[faces[members]].mean(1) @ front)]
        cut |= _disc_cut(half, int(seed), members, cut)
    cut |= _seams(vertices, half, labels, cut, (up, front))
    return _split_corners(faces, twin, cut)


def _disc_cut(half: HalfEdges, seed: int, members: np.ndarray, known: np.ndarray) -> np.ndarray:  # [H] bool
    """Half-edges of a piece's cut graph beyond its borders: loops around handles, ways between borders."""
    start, end, face, twin = half.start, half.end, half.face, half.twin
    _, parent = breadth_first_order(half.graph, seed, directed=False)
    tree = np.zeros(len(start), bool)
    inside = np.zeros(half.graph.shape[0], bool)
    inside[members] = True
    h = np.flatnonzero(half.crossing & inside[face])
    other = face[twin[h]]
    tree[h] = (parent[other] == face[h]) | (parent[face[h]] == other)
    candidate = np.zeros(len(start), bool)
    candidate[h] = ~tree[h]
    border = known & inside[face]
    count = int(max(start.max(), end.max())) + 1
    active = np.flatnonzero(candidate & (np.arange(len(start)) < twin))  # one of each pair
    edges = np.stack([start[active], end[active]], 1)
    held = np.zeros(count, bool)
    held[start[border]] = held[end[border]] = True
    degree = np.bincount(edges.ravel(), minlength=count)
    alive = np.ones(len(active), bool)
    order = np.argsort(edges.ravel(), kind="stable")
    first = np.searchsorted(edges.ravel()[order], np.arange(count + 1))
    leaves = [int(v) for v in np.unique(edges) if degree[v] == 1 and not held[v]]
    if not border.any() and not _has_loop(edges):
        return np.zeros(len(start), bool)  # a closed piece without handles: the seams open it
    while leaves:
        v = leaves.pop()
        for slot in order[first[v] : first[v + 1]]:
            e = slot // 2
            if alive[e]:
                alive[e] = False
                for w in edges[e]:
                    degree[w] -= 1
                    if degree[w] == 1 and not held[w]:
                        leaves.append(int(w))
    result = np.zeros(len(start), bool)
    kept = active[alive]
    result[kept] = result[twin[kept]] = True
    return result


def _has_loop(edges: np.ndarray) -> bool:
    names, inverse = np.unique(edges, return_inverse=True)
    graph = _graph(inverse.reshape(-1, 2), len(names))
    return len(edges) > len(names) - connected_components(graph, directed=False)[0]


def _seams(
    vertices: np.ndarray,
    half: HalfEdges,
    labels: np.ndarray,
    cut: np.ndarray,
    directions: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:  # [H] bool
    """The seam of the head: from its crown down the back to what is cut already (the neck's rim).

    directions: up and front of the head.
    """
    start, end, middle = half.start, half.end, vertices.mean(0)
    up, front = directions
    head = np.flatnonzero(labels[half.face] == 0)
    head = head[half.twin[head] >= 0]
    points = np.unique(start[head])
    lift = (vertices[points] - middle) @ up
    forward = (vertices[points] - middle) @ front
    top = lift.max()
    # a little behind the highest point, where a crown is
    crown = points[np.argmax(lift - 0.35 * np.maximum(forward + 0.1 * top, 0))]
    depth = (vertices - middle) @ front
    reach = np.percentile(np.abs(depth), 95)
    frontness = np.clip(0.5 + 0.5 * (depth / max(reach, 1e-30)), 0, 1)
    side = np.abs((vertices - middle) @ np.cross(up, front)) / max(reach, 1e-30)
    length = np.linalg.norm(vertices[end[head]] - vertices[start[head]], axis=1)
    cost = length * (1 + FRONT_COST * (frontness[start[head]] + frontness[end[head]]) / 2 + 4 * side[start[head]])
    graph = coo_matrix((cost, (start[head], end[head])), (len(vertices), len(vertices))).tocsr()
    held = np.zeros(len(vertices), bool)
    held[start[cut]] = held[end[cut]] = True
    held &= np.isin(np.arange(len(vertices)), points)
    distance, previous = dijkstra(graph, directed=False, indices=int(crown), return_predecessors=True)
    # a closed head: down to the lowest point of its back
    target = np.flatnonzero(held) if held.any() else points[[np.argmin(lift + 0.5 * forward)]]
    v = int(target[np.argmin(distance[target])])
    way = []
    while previous[v] >= 0:
        way.append((int(previous[v]), v))
        v = int(previous[v])
    key = start.astype(np.int64) * len(vertices) + end
    wanted = np.array([a * len(vertices) + b for a, b in way] + [b * len(vertices) + a for a, b in way], np.int64)
    return np.isin(key, wanted)


def _split_corners(faces: np.ndarray, twin: np.ndarray, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of one vertex stay one as far as faces around it hang together without crossing a cut."""
    h = np.flatnonzero((twin >= 0) & ~cut)
    following = np.arange(faces.size).reshape(-1, 3)[:, [1, 2, 0]].reshape(-1)
    # the half-edge a -> b and its twin b -> a: a's corner is h and the twin's next, b's is the next of h and the twin
    pairs = np.concatenate([np.stack([h, following[twin[h]]], 1), np.stack([following[h], twin[h]], 1)])
    count, corner = connected_components(_graph(pairs, faces.size), directed=False)
    origin = np.empty(count, np.int64)
    origin[corner] = faces.reshape(-1)
    return corner.reshape(-1, 3).astype(np.int32), origin


def _dual_pairs(twin: np.ndarray) -> np.ndarray:
    h = np.flatnonzero(twin > np.arange(len(twin)))
    return np.stack([h // 3, twin[h] // 3], 1)


def _graph(pairs: np.ndarray, count: int) -> csr_matrix:  # [count, count]
    return coo_matrix((np.ones(len(pairs), np.float64), (pairs[:, 0], pairs[:, 1])), (count, count)).tocsr()
