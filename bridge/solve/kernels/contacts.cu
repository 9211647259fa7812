// Separating self-contacts (contacts.py).

// wider [V]: 1 where chosen [V] is, and within a ring of it.
KERNEL widen(IN(int) chosen, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count, int* wider)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    int any = chosen[i], h = outgoing[i];
    do {
        any |= chosen[faces[next_half_edge(h)]];
        h = around(twin, h);
    } while (h != outgoing[i]);
    wider[i] = any;
}

// result [3V]: positions [3V], where chosen half way to their neighbours' mean.
KERNEL relax(IN(float) positions, IN(int) chosen, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count,
             float* result)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    if (chosen[i])
        half_way(positions, faces, twin, outgoing, i, result);
    else
        for (int d = 0; d < 3; d++) result[3 * (i64)i + d] = positions[3 * (i64)i + d];
}

KERNEL place_chosen(IN(float) positions, IN(int) chosen, int vertex_count, float* data, int columns)
{
    const int i = THREAD;
    if (i >= vertex_count || !chosen[i]) return;
    for (int d = 0; d < 3; d++) data[columns * (i64)i + d] = positions[3 * (i64)i + d];
}
