// Interpolated values at the pixels, the image loss, and the way back to normals and positions (shading.py, fused.py).
// float64: the products of sub-pixel triangles cancel. Gradients leave out the loss's scale; it is applied at the end.

struct Hit {
    int i, j, k;
    double w0, w1, w2, inverse;  // weights of the corners (sum 1) and the factor that normalised them
    Triple ra, rb, rc;           // ray x corner
};

DEVICE Hit look(const View& view, const float* vertices, const int* faces, int f, int x, int y)
{
    const double* R = view.R;
    const double v = (y + 0.5 - view.K[3]) / view.K[1];
    const double u = (x + 0.5 - view.K[2] - view.K[4] * v) / view.K[0];
    const Triple ray = {R[0] * u + R[3] * v + R[6], R[1] * u + R[4] * v + R[7], R[2] * u + R[5] * v + R[8]};
    const Triple center = {view.center[0], view.center[1], view.center[2]};
    Hit hit;
    hit.i = faces[3 * (i64)f];
    hit.j = faces[3 * (i64)f + 1];
    hit.k = faces[3 * (i64)f + 2];
    const Triple a = load_from(vertices, hit.i, center), b = load_from(vertices, hit.j, center),
                 c = load_from(vertices, hit.k, center);
    hit.ra = cross(ray, a);
    hit.rb = cross(ray, b);
    hit.rc = cross(ray, c);
    const double w0 = dot(hit.rb, c), w1 = dot(hit.rc, a), w2 = dot(hit.ra, b), total = w0 + w1 + w2;
    hit.inverse = total != 0.0 ? 1.0 / total : 0.0;
    hit.w0 = w0 * hit.inverse;
    hit.w1 = w1 * hit.inverse;
    hit.w2 = w2 * hit.inverse;
    return hit;
}

DEVICE Triple mix(const Hit& hit, Triple a, Triple b, Triple c)
{
    return {hit.w0 * a.x + hit.w1 * b.x + hit.w2 * c.x, hit.w0 * a.y + hit.w1 * b.y + hit.w2 * c.y,
            hit.w0 * a.z + hit.w1 * b.z + hit.w2 * c.z};
}

struct Color {
    double c[4];  // interpolated normal, coverage
};

DEVICE Color color_at(const View& view, const float* vertices, const float* normals, const int* faces, const u64* image,
                      int p)
{
    const int f = key_face(image[p]);
    if (f < 0) return {{0.0, 0.0, 0.0, 0.0}};
    const Hit hit = look(view, vertices, faces, f, p % view.width, p / view.width);
    const Triple n = mix(hit, load(normals, hit.i), load(normals, hit.j), load(normals, hit.k));
    return {{n.x, n.y, n.z, 1.0}};
}

// Adds dL/d(pixel normal) to sums [V, 6] = (d position times length, d normal) of the triangle's corners.
DEVICE void shade_backward(const View& view, const float* vertices, const float* normals, const int* faces, int f,
                           int x, int y, Triple g, double length, i64* sums)
{
    if (g.x == 0.0 && g.y == 0.0 && g.z == 0.0) return;
    const Hit hit = look(view, vertices, faces, f, x, y);
    i64* si = sums + 6 * (i64)hit.i;
    i64* sj = sums + 6 * (i64)hit.j;
    i64* sk = sums + 6 * (i64)hit.k;
    add(si + 3, {hit.w0 * g.x, hit.w0 * g.y, hit.w0 * g.z});
    add(sj + 3, {hit.w1 * g.x, hit.w1 * g.y, hit.w1 * g.z});
    add(sk + 3, {hit.w2 * g.x, hit.w2 * g.y, hit.w2 * g.z});
    const Triple ni = load(normals, hit.i), nj = load(normals, hit.j), nk = load(normals, hit.k);
    const double ng = dot(mix(hit, ni, nj, nk), g), s = hit.inverse * length;
    const double h0 = (dot(ni, g) - ng) * s, h1 = (dot(nj, g) - ng) * s, h2 = (dot(nk, g) - ng) * s;
    const Triple a = hit.ra, b = hit.rb, c = hit.rc;
    add(si, {h1 * c.x - h2 * b.x, h1 * c.y - h2 * b.y, h1 * c.z - h2 * b.z});
    add(sj, {h2 * a.x - h0 * c.x, h2 * a.y - h0 * c.y, h2 * a.z - h0 * c.z});
    add(sk, {h0 * b.x - h1 * a.x, h0 * b.y - h1 * a.y, h0 * b.z - h1 * a.z});
}

DEVICE double sign_of(double x) { return x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : 0.0); }

// Loss of one pixel and, in g, its derivative by the rendered color. target: 6 channels (images.py).
DEVICE double pixel_loss(int mode, Color color, const float* target, double mask_weight, double robust2, Color& g)
{
    const double w = target[4], dx = color.c[0] - target[0], dy = color.c[1] - target[1], dz = color.c[2] - target[2];
    const double e = dx * dx + dy * dy + dz * dz, da = color.c[3] - target[3], wm = mask_weight * target[5];
    double loss;
    if (mode == 1) {  // l1
        loss = w * (fabs(dx) + fabs(dy) + fabs(dz));
        g = {{w * sign_of(dx), w * sign_of(dy), w * sign_of(dz), 0.0}};
    } else if (mode == 0) {  // linear
        loss = -w * (color.c[0] * target[0] + color.c[1] * target[1] + color.c[2] * target[2]);
        g = {{-w * target[0], -w * target[1], -w * target[2], 0.0}};
    } else {  // l2, robust (Geman-McClure)
        const double q = mode == 2 ? 1.0 : 1.0 / (1.0 + e / robust2), s = w * q * q;
        loss = 0.5 * w * e * q;
        g = {{s * dx, s * dy, s * dz, 0.0}};
    }
    g.c[3] = 2.0 * wm * da;
    return loss + wm * da * da;
}

// A thread a pixel: colour, blend, loss. Pixels that no silhouette touches (nearly all) are sent back at once; the
// others keep dL/d(colour after the blend) in g_out [pixels, 4] for blend_backward, which needs the neighbours' too.
KERNEL shade_and_compare(IN(View) views, IN(float) vertices, IN(float) normals, IN(int) faces,
                         IN(u64) keys, IN(unsigned char) marks, IN(float) crossing, IN(float) targets,
                         int mode, double mask_weight, double robust2, double length, float* g_out, i64* sums,
                         i64* losses)
{
    const View& view = views[blockIdx.y];
    const int p = blockIdx.x * blockDim.x + threadIdx.x;
    i64 loss = 0;
    if (p < view.width * view.height) {
        const u64* image = keys + view.offset;
        const unsigned char* mark = marks + view.offset;
        const int y = p / view.width, x = p - y * view.width;
        const Color own = color_at(view, vertices, normals, faces, image, p);
        Color out = own, g;
        bool touched = false;
        for (int n = 0; n < 4; n++) {
            const int first = pair_first(mark, p, x, y, n, view.width);
            if (first < 0) continue;
            touched = true;
            const Item item = item_at(mark, crossing + 2 * view.offset, first, n & 1, view.width);
            if (item.target != p) continue;
            const Color other = color_at(view, vertices, normals, faces, image, p == item.p ? item.q : item.p);
            for (int k = 0; k < 4; k++) out.c[k] += fabs(item.w) * (other.c[k] - own.c[k]);
        }
        loss = to_fixed(pixel_loss(mode, out, targets + 6 * (view.offset + p), mask_weight, robust2, g), LOSS_UNIT);
        if (touched) {
            for (int k = 0; k < 4; k++) g_out[4 * (view.offset + p) + k] = (float)g.c[k];
        } else if (own.c[3] > 0.0) {
            shade_backward(view, vertices, normals, faces, key_face(image[p]), x, y, {g.c[0], g.c[1], g.c[2]}, length,
                           sums);
        }
    }
    loss = warp_sum(loss);
    if (threadIdx.x % WARP == 0 && loss != 0)
        atomicAdd((u64*)losses + (blockIdx.x + blockIdx.y * 31) % LOSS_CELLS, (u64)loss);
}

// A thread a pixel that a silhouette touches: through the blend to the colours and to the edges, then through shading.
KERNEL blend_backward(IN(View) views, IN(float) vertices, IN(float) normals, IN(int) faces, IN(u64) keys,
                      IN(unsigned char) marks, IN(float) crossing, IN(int) edges, IN(float) g_out,
                      double length, i64* sums)
{
    const View& view = views[blockIdx.y];
    const int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= view.width * view.height) return;
    const u64* image = keys + view.offset;
    const unsigned char* mark = marks + view.offset;
    const float* g_image = g_out + 4 * view.offset;
    const int y = p / view.width, x = p - y * view.width;
    bool touched = false;
    double g[3] = {0.0, 0.0, 0.0};
    for (int n = 0; n < 4; n++) {
        const int first = pair_first(mark, p, x, y, n, view.width);
        if (first < 0) continue;
        const Item item = item_at(mark, crossing + 2 * view.offset, first, n & 1, view.width);
        const float* from = g_image + 4 * (i64)item.target;
        const double w = p == item.q ? item.w : -item.w;
        for (int k = 0; k < 3; k++) g[k] += w * from[k];
        touched = true;
        if (n >= 2) continue;  // the pair's first pixel sends its edge back
        const Color cp = color_at(view, vertices, normals, faces, image, item.p);
        const Color cq = color_at(view, vertices, normals, faces, image, item.q);
        double g_t = 0.0;
        for (int k = 0; k < 4; k++) g_t += from[k] * (cp.c[k] - cq.c[k]);
        if (g_t != 0.0)
            edge_backward(view, vertices, faces, edges[2 * (view.offset + p) + n], n, item, g_t, length, sums);
    }
    const int f = key_face(image[p]);
    if (!touched || f < 0) return;
    const float* own = g_image + 4 * (i64)p;
    const Triple total = {own[0] + g[0], own[1] + g[1], own[2] + g[2]};
    shade_backward(view, vertices, normals, faces, f, x, y, total, length, sums);
}

// For display: triangle [pixels], depth [pixels] and interpolated values [pixels, count] of every pixel.
KERNEL resolve(IN(View) views, IN(float) vertices, IN(float) values, int count, IN(int) faces,
               IN(u64) keys, int* triangle, float* depth, float* image)
{
    const View& view = views[blockIdx.y];
    const int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= view.width * view.height) return;
    const i64 pixel = view.offset + p;
    const int f = key_face(keys[pixel]);
    triangle[pixel] = f;
    depth[pixel] = f < 0 ? 0.0f : 1.0f / key_z(keys[pixel]);
    if (f < 0) {
        for (int m = 0; m < count; m++) image[pixel * count + m] = 0.0f;
        return;
    }
    const Hit hit = look(view, vertices, faces, f, p % view.width, p / view.width);
    const float* a = values + (i64)hit.i * count;
    const float* b = values + (i64)hit.j * count;
    const float* c = values + (i64)hit.k * count;
    for (int m = 0; m < count; m++) image[pixel * count + m] = (float)(hit.w0 * a[m] + hit.w1 * b[m] + hit.w2 * c[m]);
}
