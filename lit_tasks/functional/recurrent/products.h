/* Products of matrices, row-major: for many small ones on end, own loops over a repacked factor,
 * which run at the processor's peak; else those of the BLAS that torch brings (see set_gemm).
 *
 * The right factor is laid out once in panels of PANEL columns, since a recurrence multiplies by it
 * at every step. ROWS rows of sums then stay in registers while the factor goes by (Goto and van
 * de Geijn, 2008, "Anatomy of High-Performance Matrix Multiplication").
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t number; /* of which a BLAS with 32-bit numbers reads the lower half */
typedef void (*gemm_type)(const char *, const char *, const number *, const number *, const number *,
                          const real *, const real *, const number *, const real *, const number *,
                          const real *, real *, const number *);
static gemm_type gemm;

/* Say where BLAS's sgemm (dgemm) is, with Fortran's calling convention. */
void set_gemm(gemm_type found) { gemm = found; }

/* 2 * ROWS vectors of sums, two of the factor and one of the other have to fit into registers. */
#if defined(__AVX512F__)
enum { VECTOR = 64, ROWS = 8, TILES = 1 };
#elif defined(__AVX2__) && defined(__FMA__)
enum { VECTOR = 32, ROWS = 6, TILES = 1 };
#else
enum { VECTOR = 16, ROWS = 4, TILES = 0 }; /* other processors were not measured: BLAS */
#endif
enum { LANES = VECTOR / sizeof(real), PANEL = 2 * LANES };
typedef real vector __attribute__((vector_size(VECTOR), aligned(sizeof(real)), may_alias));

static real *allocated(int64_t numbers) {
  const size_t bytes = (size_t)(numbers > 0 ? numbers : 1) * sizeof(real);
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

/* The right factor b of many products: depth rows, cols columns; 'T' if b is stored transposed. */
typedef struct {
  char is;
  int64_t cols, depth, stride;
  const real *numbers;
  real *panels; /* NULL: BLAS does it */
} factor;

static int64_t panels_size(int64_t cols, int64_t depth) {
  return (cols + PANEL - 1) / PANEL * PANEL * depth;
}

static void fill_panels(const factor *b, real *to) {
  for (int64_t first = 0; first < b->cols; first += PANEL, to += PANEL * b->depth) {
    const int64_t left = b->cols - first, width = left < PANEL ? left : PANEL;
    if (width < PANEL) memset(to, 0, (size_t)(PANEL * b->depth) * sizeof(real));
    if (b->is == 'T') {
      for (int64_t j = 0; j < width; j++)
        for (int64_t k = 0; k < b->depth; k++)
          to[k * PANEL + j] = b->numbers[(first + j) * b->stride + k];
    } else {
      for (int64_t k = 0; k < b->depth; k++)
        memcpy(to + k * PANEL, b->numbers + k * b->stride + first, (size_t)width * sizeof(real));
    }
  }
}

/* c = c * beta + a b for one panel of b and a constant number of rows. a's numbers are `row` apart
 * from row to row and `next` from column to column. */
static inline __attribute__((always_inline)) void tile(const int rows, int64_t depth, const real *a,
                                                       int64_t row, int64_t next, const real *panel,
                                                       int64_t width, real beta, real *c,
                                                       int64_t stride) {
  vector sums[ROWS][2];
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = (vector){0};
  for (int64_t k = 0; k < depth; k++, a += next, panel += PANEL) {
    const vector left = *(const vector *)panel, right = *(const vector *)(panel + LANES);
    for (int r = 0; r < rows; r++) {
      sums[r][0] += a[r * row] * left;
      sums[r][1] += a[r * row] * right;
    }
  }
  for (int r = 0; r < rows; r++, c += stride) {
    real edge[PANEL];
    vector *to = width == PANEL ? (vector *)c : (vector *)edge;
    if (width < PANEL && beta) memcpy(edge, c, (size_t)width * sizeof(real));
    if (beta) to[0] += sums[r][0], to[1] += sums[r][1];
    else to[0] = sums[r][0], to[1] = sums[r][1];
    if (width < PANEL) memcpy(c, edge, (size_t)width * sizeof(real));
  }
}

static void multiply_panel(int64_t rows, int64_t depth, const real *a, int64_t row, int64_t next,
                           const real *panel, int64_t width, real beta, real *c, int64_t stride) {
#define TILE(some)                                                      \
  tile(some, depth, a, row, next, panel, width, beta, c, stride);       \
  a += some * row, c += some * stride, rows -= some
  while (rows >= ROWS) { TILE(ROWS); }
  if (rows >= 4) { TILE(4); }
  if (rows >= 2) { TILE(2); }
  if (rows) { TILE(1); }
#undef TILE
}

/* c = c * beta + a b; beta is 0 or 1; strides are from row to row. */
static void multiply(int64_t rows, const real *a, int64_t stride_a, const factor *b, real beta,
                     real *c, int64_t stride_c) {
  const int64_t cols = b->cols, depth = b->depth;
  if (!rows || !cols) return;
  if (b->panels) {
    for (int64_t first = 0; first < cols; first += PANEL)
      multiply_panel(rows, depth, a, stride_a, 1, b->panels + first * depth,
                     cols - first < PANEL ? cols - first : PANEL, beta, c + first, stride_c);
    return;
  }
  const number of_a = stride_a > 1 ? stride_a : 1, of_b = b->stride > 1 ? b->stride : 1;
  const real one = 1; /* Fortran's matrices are by columns: for it, all are transposed */
  gemm(&b->is, "N", &cols, &rows, &depth, &one, b->numbers, &of_b, a, &of_a, &beta, c, &stride_c);
}

/* c = c * beta + a^T b: the sum over depth rows of outer products, the gradient of a weight.
 * space: memory for the panels of b and for ROWS * depth numbers, or NULL, and BLAS does it. */
static void add_outer(int64_t rows, int64_t cols, int64_t depth, const real *a, int64_t stride_a,
                      const real *b, real beta, real *c, real *space) {
  if (!rows || !cols) return;
  if (!space) {
    const real one = 1;
    gemm("N", "T", &cols, &rows, &depth, &one, b, &cols, a, &stride_a, &beta, c, &cols);
    return;
  }
  real *strip = space + panels_size(cols, depth);
  fill_panels(&(factor){'N', cols, depth, cols, b, NULL}, space);
  for (int64_t row = 0; row < rows; row += ROWS) {
    const int64_t some = rows - row < ROWS ? rows - row : ROWS;
    for (int64_t k = 0; k < depth; k++)
      for (int64_t r = 0; r < some; r++) strip[k * ROWS + r] = a[k * stride_a + row + r];
    for (int64_t first = 0; first < cols; first += PANEL)
      multiply_panel(some, depth, strip, 1, ROWS, space + first * depth,
                     cols - first < PANEL ? cols - first : PANEL, beta, c + row * cols + first,
                     cols);
  }
}
