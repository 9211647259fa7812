// Half-edges h = 3 * face + corner and their twins (mesh/topology.py).

DEVICE int next_half_edge(int h) { return h % 3 < 2 ? h + 1 : h - 2; }
DEVICE int previous_half_edge(int h) { return h % 3 > 0 ? h - 1 : h + 2; }

// The half-edge after h around its start.
DEVICE int around(const int* twin, int h) { return twin[previous_half_edge(h)]; }
