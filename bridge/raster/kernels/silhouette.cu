// Silhouettes: where they cross between two pixels (the walk of silhouette.py), and the way back to the edge.
//
// Kept per pixel, for the pair with its right (d = 0) and its lower (d = 1) neighbour: marks bit d = a silhouette runs
// between them, bit 2 + d = the neighbour is the nearer one; crossing[2 * pixel + d] = distance from the nearer pixel;
// edges[2 * pixel + d] = half-edge 3 * face + side. The latter two are written and read only where the mark is set.

DEVICE float along(Point p, int d) { return d == 0 ? p.x : p.y; }

// From the centre of a pixel inside face f, along sign * axis d: the farthest silhouette edge within one pixel, or -1.
DEVICE int walk(const View& view, const float* vertices, const int* faces, const int* twin, int f, int x, int y, int d,
                double sign, float& distance)
{
    const double here = (d == 0 ? x : y) + 0.5, line = (d == 0 ? y : x) + 0.5;
    int entered = -1, edge_before = -1, found = -1;
    bool side = false, front_before = false;
    double t_before = 0.0, farthest = -1.0;
    for (int steps = 0; steps <= MAX_WALK; steps++) {
        const Point p[3] = {project(view, vertices, faces[3 * (i64)f]), project(view, vertices, faces[3 * (i64)f + 1]),
                            project(view, vertices, faces[3 * (i64)f + 2])};
        const bool front = doubled_area(p[0], p[1], p[2]) > 0.0f;
        if (steps == 0) {
            side = front;
        } else if (front_before == side && front != side && t_before > farthest) {
            farthest = t_before > 0.0 ? t_before : 0.0;
            found = edge_before;
        }
        if (steps == MAX_WALK) break;
        int best = -1;
        double best_t = -1e30;
        for (int e = 0; e < 3; e++) {
            if (e == entered) continue;
            const Point a = p[e], b = p[e < 2 ? e + 1 : 0];
            const double pa = (double)along(a, 1 - d) - line, pb = (double)along(b, 1 - d) - line;
            if ((pa < 0) == (pb < 0)) continue;
            const double xa = along(a, d), xb = along(b, d);
            const double t = (xa - pa * (xb - xa) / (pb - pa) - here) * sign;
            if (t > best_t) {
                best_t = t;
                best = e;
            }
        }
        if (best < 0 || best_t > 1.0 || best_t < farthest - 1.0) break;
        edge_before = 3 * f + best;
        t_before = best_t;
        front_before = front;
        const int g = twin[edge_before];
        if (g < 0) {
            if (front == side && best_t > farthest) {
                farthest = best_t > 0.0 ? best_t : 0.0;
                found = edge_before;
            }
            break;
        }
        f = g / 3;
        entered = g - 3 * f;
    }
    distance = (float)farthest;
    return found;
}

// Whether a step in depth between two pixels is what the slope before it explains (see find_silhouettes on the CPU).
DEVICE bool continues(const u64* keys, int x, int y, int x1, int y1, int height, int width, float z0, float z1,
                      float focal)
{
    const float step = z1 - z0, gap = fabsf(step) * focal;
    if (!(gap < (float)STEEP * z0 && gap < (float)STEEP * z1)) return false;
    const int right = x1 - x, down = y1 - y;
    float before = 0.0f;
    if (step < 0.0f && x >= right && y >= down)
        before = z0 - key_z(keys[(i64)(y - down) * width + x - right]);
    else if (step > 0.0f && x1 < width - right && y1 < height - down)
        before = key_z(keys[(i64)(y1 + down) * width + x1 + right]) - z1;
    return fabsf(step - before) < (float)BEND * fabsf(step);
}

KERNEL find_silhouettes(IN(View) views, IN(float) vertices, IN(int) faces, IN(int) twin, IN(u64) keys,
                        unsigned char* marks, float* crossing, int* edges)
{
    const View& view = views[blockIdx.y];
    const int width = view.width, height = view.height;
    const int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= width * height) return;
    const int y = p / width, x = p - y * width;
    const u64* image = keys + view.offset;
    const u64 key0 = image[p];
    unsigned mark = 0;
    for (int d = 0; d < 2; d++) {
        const int x1 = x + 1 - d, y1 = y + d;
        if (x1 >= width || y1 >= height) continue;
        const u64 key1 = image[(i64)y1 * width + x1];
        const float z0 = key_z(key0), z1 = key_z(key1);
        // |1/z0 - 1/z1| * focal * max(z0, z1) < 1: the same surface; a background's z of 0 never passes
        const float gap = fabsf(z1 - z0) * view.k[d];
        if ((gap < z0 && gap < z1) || z0 == z1) continue;
        const int f0 = key_face(key0), f1 = key_face(key1);
        if (f0 == f1) continue;
        if (continues(image, x, y, x1, y1, height, width, z0, z1, view.k[d])) continue;
        const bool first = z0 > z1;
        float t = 0.0f;
        const int edge = walk(view, vertices, faces, twin, first ? f0 : f1, first ? x : x1, first ? y : y1, d,
                              first ? 1.0 : -1.0, t);
        if (edge < 0) continue;
        const Point a = project(view, vertices, faces[edge]);
        const Point b = project(view, vertices, faces[edge % 3 < 2 ? edge + 1 : edge - 2]);
        const float ex = fabsf(b.x - a.x), ey = fabsf(b.y - a.y);
        if (d == 0 ? ex > ey : ey > ex) continue;  // each edge acts along one axis only, or it counts double
        mark |= 1u << d | (first ? 0u : 4u << d);
        crossing[2 * (view.offset + p) + d] = t;
        edges[2 * (view.offset + p) + d] = edge;
    }
    marks[view.offset + p] = (unsigned char)mark;
}

// One silhouette between pixels p (nearer) and q, as recorded at its first pixel.
struct Item {
    int p, q, target;  // target: the pixel on whose side it lies, which takes |w| of the other
    double w;
};

DEVICE Item item_at(const unsigned char* marks, const float* crossing, int first, int d, int width)
{
    const int second = first + (d == 0 ? 1 : width);
    const bool swapped = marks[first] >> (2 + d) & 1;
    Item item;
    item.p = swapped ? second : first;
    item.q = swapped ? first : second;
    item.w = 0.5 - (double)crossing[2 * (i64)first + d];
    item.target = item.w > 0.0 ? item.p : item.q;
    return item;
}

// The first pixel and direction of the pair between pixel p and its neighbour n (right, below, left, above), or -1.
DEVICE int pair_first(const unsigned char* marks, int p, int x, int y, int n, int width)
{
    const int d = n & 1;
    if (n >= 2 && (d == 0 ? x : y) == 0) return -1;
    const int first = n < 2 ? p : p - (d == 0 ? 1 : width);
    return marks[first] >> d & 1 ? first : -1;
}

// dL/d(distance) -> the two ends of the edge, through the projection.
DEVICE void edge_backward(const View& view, const float* vertices, const int* faces, int edge, int d, Item item,
                          double g_t, double length, i64* sums)
{
    const int corner[2] = {faces[edge], faces[edge % 3 < 2 ? edge + 1 : edge - 2]};
    const Point a = project(view, vertices, corner[0]), b = project(view, vertices, corner[1]);
    const int y = item.p / view.width, x = item.p - y * view.width;
    const double line = (d == 0 ? y : x) + 0.5;
    double span = (double)along(b, 1 - d) - (double)along(a, 1 - d);
    if (fabs(span) < 1e-3) span = span >= 0.0 ? 1e-3 : -1e-3;
    const double u = fmin(fmax((line - (double)along(a, 1 - d)) / span, 0.0), 1.0);
    const double slope = ((double)along(b, d) - (double)along(a, d)) / span;
    const double* R = view.R;
    const double* K = view.K;
    g_t *= item.q > item.p ? length : -length;
    for (int end = 0; end < 2; end++) {
        const Point p = end == 0 ? a : b;
        const double g_along = g_t * (end == 0 ? 1.0 - u : u), g_across = -g_along * slope;
        const double g_x = d == 0 ? g_along : g_across, g_y = d == 0 ? g_across : g_along;
        const double inverse = p.z, X = g_x * K[0] * inverse, Y = (g_y * K[1] + g_x * K[4]) * inverse;
        const double Z = -(g_x * (p.x - K[2]) + g_y * (p.y - K[3])) * inverse;
        add(sums + 6 * (i64)corner[end], Triple{R[0] * X + R[3] * Y + R[6] * Z, R[1] * X + R[4] * Y + R[7] * Z,
                                                R[2] * X + R[5] * Y + R[8] * Z});
    }
}
