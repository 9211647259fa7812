// Which triangle each pixel centre sees: 64-bit maximum over (1 / depth, triangle) keys. No culling: see visibility.py.

struct Setup {  // a triangle on the screen, wound so that its doubled area is positive
    Point a, b, c;
    float nearest;
    int x0, y0, x1, y1;  // pixels whose centres its bounding box holds, inclusive
    bool top_a, top_b, top_c;
};

DEVICE float smallest(float a, float b, float c) { return fminf(a, fminf(b, c)); }
DEVICE float largest(float a, float b, float c) { return fmaxf(a, fmaxf(b, c)); }

DEVICE bool top_left(Point from, Point to) { return to.y < from.y || (to.y == from.y && to.x > from.x); }

// False if the triangle can hit no pixel centre. Most end here.
DEVICE bool set_up(const View& view, const float* vertices, const int* faces, int f, Setup& out)
{
    const Point a = project(view, vertices, faces[3 * (i64)f]);
    Point b = project(view, vertices, faces[3 * (i64)f + 1]);
    Point c = project(view, vertices, faces[3 * (i64)f + 2]);
    if (a.z == 0.0f || b.z == 0.0f || c.z == 0.0f) return false;
    // clamped as floats: a vertex just in front of the camera may lie further off than an int reaches
    const float x0 = fmaxf(0.0f, ceilf(smallest(a.x, b.x, c.x) - 0.5f));
    const float x1 = fminf((float)(view.width - 1), floorf(largest(a.x, b.x, c.x) - 0.5f));
    const float y0 = fmaxf(0.0f, ceilf(smallest(a.y, b.y, c.y) - 0.5f));
    const float y1 = fminf((float)(view.height - 1), floorf(largest(a.y, b.y, c.y) - 0.5f));
    if (!(x0 <= x1 && y0 <= y1)) return false;
    const float area = doubled_area(a, b, c);
    if (!(area > 0.0f || area < 0.0f)) return false;
    if (area < 0.0f) {
        const Point swap = b;
        b = c;
        c = swap;
    }
    out.a = a;
    out.b = b;
    out.c = c;
    out.nearest = largest(a.z, b.z, c.z);
    out.x0 = (int)x0;
    out.x1 = (int)x1;
    out.y0 = (int)y0;
    out.y1 = (int)y1;
    out.top_b = top_left(a, c);  // each edge weighs the corner opposite to it
    out.top_a = top_left(c, b);
    out.top_c = top_left(b, a);
    return true;
}

// Enters the triangle at a pixel if the pixel's centre is inside it and nothing nearer is known.
DEVICE void visit(const Setup& s, int f, int x, int y, u64* key)
{
    if (s.nearest < key_z(*key)) return;  // keys only grow, so an old value read here does no harm
    const float px = (float)x + 0.5f, py = (float)y + 0.5f;
    const float dax = s.a.x - px, dbx = s.b.x - px, dcx = s.c.x - px;
    const float day = s.a.y - py, dby = s.b.y - py, dcy = s.c.y - py;
    const float wb = dax * dcy - day * dcx;
    const float wa = dcx * dby - dcy * dbx;
    const float wc = dbx * day - dby * dax;
    if (wb < 0.0f || wa < 0.0f || wc < 0.0f) return;
    if ((wb == 0.0f && !s.top_b) || (wa == 0.0f && !s.top_a) || (wc == 0.0f && !s.top_c)) return;
    const float total = wa + wb + wc;
    if (!(total > 0.0f)) return;
    const float z = (wa * s.a.z + wb * s.b.z + wc * s.c.z) / total;
    if (z > 0.0f) atomicMax(key, make_key(z, f));
}

// A thread a triangle and view. Triangles with many pixels are queued (rasterise_large); a full queue is no error.
KERNEL rasterise(IN(View) views, int view_count, IN(float) vertices, IN(int) faces, int face_count,
                 u64* keys, u64* queue, unsigned* queued, int capacity, int large)
{
    const int f = blockIdx.x * blockDim.x + threadIdx.x;
    if (f >= face_count) return;
    for (int v = blockIdx.y; v < view_count; v += gridDim.y) {
        Setup s;
        if (!set_up(views[v], vertices, faces, f, s)) continue;
        if ((i64)(s.x1 - s.x0 + 1) * (s.y1 - s.y0 + 1) > large) {
            const unsigned slot = atomicAdd(queued, 1u);
            if (slot < (unsigned)capacity) {
                queue[slot] = (u64)v << 32 | (unsigned)f;
                continue;
            }
        }
        u64* image = keys + views[v].offset;
        for (int y = s.y0; y <= s.y1; y++)
            for (int x = s.x0; x <= s.x1; x++) visit(s, f, x, y, image + (i64)y * views[v].width + x);
    }
}

// A warp for each 1 / STRIPES of a queued triangle. How many there are is known on the device only, so the grid is
// fixed and its warps take turns.
#define STRIPES 8
KERNEL rasterise_large(IN(View) views, IN(float) vertices, IN(int) faces, u64* keys, IN(u64) queue,
                       IN(unsigned) queued, int capacity)
{
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    const int lane = thread % WARP, warps = gridDim.x * blockDim.x / WARP;
    const unsigned count = *queued < (unsigned)capacity ? *queued : (unsigned)capacity;
    for (i64 item = thread / WARP; item < (i64)count * STRIPES; item += warps) {
        const u64 entry = queue[item / STRIPES];
        const View& view = views[entry >> 32];
        const int f = (int)(unsigned)entry;
        Setup s;
        if (!set_up(view, vertices, faces, f, s)) continue;
        const int width = s.x1 - s.x0 + 1, pixels = width * (s.y1 - s.y0 + 1);
        for (int i = (int)(item % STRIPES) * WARP + lane; i < pixels; i += STRIPES * WARP) {
            const int y = s.y0 + i / width, x = s.x0 + i % width;
            visit(s, f, x, y, keys + view.offset + (i64)y * view.width + x);
        }
    }
}
