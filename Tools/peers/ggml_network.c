// The speech model's network on ggml, the engine of llama.cpp: pre-norm blocks, grouped keys and values (fp16), SwiGLU,
// random weights. Weights lie where llama.cpp puts them: repacked for the processor where ggml offers it (Q4_0 on AVX2).
// Positions are left out on both sides of the scores; they cost next to nothing.
//
//   ggml_network TYPE LAYERS ROWS SEQUENCES CONTEXT THREADS RUNS
//
// TYPE is q4_0, q8_0 or bf16. ROWS new tokens of each of SEQUENCES sequences run after CONTEXT others, then the output of
// each sequence's last row. Prints the seconds of every run after a first one as JSON.

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 3072, INNER = 8192, HEADS = 48, GROUPS = 4, SIZE = 64, VOCABULARY = 74752, PARTS = 7 };

static const int shapes[PARTS][2] = {
    {WIDTH, WIDTH}, {WIDTH, GROUPS * SIZE}, {WIDTH, GROUPS *SIZE}, {WIDTH, WIDTH},
    {WIDTH, INNER}, {WIDTH, INNER},         {INNER, WIDTH}};

struct layer {
  struct ggml_tensor *weights[PARTS], *keys, *values;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct ggml_context *context(long tensors) {
  struct ggml_init_params p = {.mem_size = tensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(16384, false),
                               .no_alloc = true};
  return ggml_init(p);
}

/// Where llama.cpp would put the weights.
static ggml_backend_buffer_type_t weight_place(enum ggml_type type) {
  ggml_backend_reg_t reg = ggml_backend_cpu_reg();
  ggml_backend_dev_get_extra_bufts_t extra =
      (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts");
  ggml_backend_buffer_type_t *list = extra ? extra(ggml_backend_reg_dev_get(reg, 0)) : NULL;
  for (; type == GGML_TYPE_Q4_0 && list && *list; list++) {
    if (strcmp(ggml_backend_buft_name(*list), "CPU_REPACK") == 0) {
      return *list;
    }
  }
  return ggml_backend_cpu_buffer_type();
}

/// Fills a tensor with random numbers of a plausible size.
static void fill(struct ggml_tensor *t, int *seed) {
  static float row[INNER];
  size_t bytes = ggml_row_size(t->type, t->ne[0]);
  char *data = malloc(bytes * t->ne[1]);
  // One row in 64 is rounded; the others repeat it at their own place.
  for (long r = 0; r < t->ne[1]; r++) {
    if (r % 64 == 0) {
      for (long i = 0; i < t->ne[0]; i++) {
        *seed = *seed * 1103515245 + 12345;
        row[i] = ((*seed >> 16 & 0x7fff) / 16384.0f - 1) * 0.03f;
      }
      ggml_quantize_chunk(t->type, row, data + r * bytes, 0, 1, t->ne[0], NULL);
    } else {
      memcpy(data + r * bytes, data + r / 64 * 64 * bytes, bytes);
    }
  }
  ggml_backend_tensor_set(t, data, 0, bytes * t->ne[1]);
  free(data);
}

static struct ggml_tensor *norm(struct ggml_context *c, struct ggml_tensor *x) { return ggml_rms_norm(c, x, 1e-5f); }

/// x [WIDTH, ROWS * SEQUENCES] through one layer; a sequence's rows see all of its cache.
static struct ggml_tensor *block(struct ggml_context *c, const struct layer *l, struct ggml_tensor *x, int rows,
                                 int sequences, struct ggml_tensor *mask) {
  struct ggml_tensor *y = norm(c, x);
  struct ggml_tensor *q = ggml_mul_mat(c, l->weights[0], y);
  struct ggml_tensor *k = ggml_mul_mat(c, l->weights[1], y), *v = ggml_mul_mat(c, l->weights[2], y);
  q = ggml_permute(c, ggml_reshape_4d(c, q, SIZE, HEADS, rows, sequences), 0, 2, 1, 3);
  struct ggml_tensor *scores = ggml_mul_mat(c, l->keys, q);
  scores = ggml_soft_max_ext(c, scores, mask, 0.125f, 0);
  struct ggml_tensor *mixed = ggml_mul_mat(c, l->values, scores);
  mixed = ggml_cont_2d(c, ggml_permute(c, mixed, 0, 2, 1, 3), WIDTH, rows * sequences);
  // New keys and values are computed; a sum that is scaled to nothing keeps them in the graph.
  struct ggml_tensor *kept = ggml_scale(c, ggml_add(c, ggml_sum(c, k), ggml_sum(c, v)), 0);
  x = ggml_add(c, ggml_add(c, x, ggml_mul_mat(c, l->weights[3], mixed)), kept);
  y = norm(c, x);
  struct ggml_tensor *inner =
      ggml_swiglu_split(c, ggml_mul_mat(c, l->weights[4], y), ggml_mul_mat(c, l->weights[5], y));
  return ggml_add(c, x, ggml_mul_mat(c, l->weights[6], inner));
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "ggml_network TYPE LAYERS ROWS SEQUENCES CONTEXT THREADS RUNS\n");
    return 2;
  }
  enum ggml_type type = strcmp(argv[1], "q4_0") == 0   ? GGML_TYPE_Q4_0
                        : strcmp(argv[1], "q8_0") == 0 ? GGML_TYPE_Q8_0
                                                       : GGML_TYPE_BF16;
  int layers = atoi(argv[2]), rows = atoi(argv[3]), sequences = atoi(argv[4]), runs = atoi(argv[7]);
  int total = (atoi(argv[5]) + rows + 31) / 32 * 32;
  ggml_backend_t backend = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(backend, atoi(argv[6]));

  struct ggml_context *w = context(PARTS * layers + 2), *plain = context(2 * layers + 3);
  struct layer *all = calloc(layers, sizeof *all);
  for (int i = 0; i < layers; i++) {
    for (int p = 0; p < PARTS; p++) {
      all[i].weights[p] = ggml_new_tensor_2d(w, type, shapes[p][0], shapes[p][1]);
    }
    all[i].keys = ggml_new_tensor_4d(plain, GGML_TYPE_F16, SIZE, total, GROUPS, sequences);
    all[i].values = ggml_new_tensor_4d(plain, GGML_TYPE_F16, total, SIZE, GROUPS, sequences);
  }
  struct ggml_tensor *head = ggml_new_tensor_2d(w, type, WIDTH, VOCABULARY);
  struct ggml_tensor *input = ggml_new_tensor_2d(plain, GGML_TYPE_F32, WIDTH, rows * sequences);
  struct ggml_tensor *mask = rows > 1 ? ggml_new_tensor_2d(plain, GGML_TYPE_F16, total, rows) : NULL;
  ggml_backend_alloc_ctx_tensors_from_buft(w, weight_place(type));
  ggml_backend_buffer_clear(ggml_backend_alloc_ctx_tensors(plain, backend), 0);
  int seed = 1;
  for (int i = 0; i < layers; i++) {
    for (int p = 0; p < PARTS; p++) {
      fill(all[i].weights[p], &seed);
    }
  }
  fill(head, &seed);
  float *x = malloc(sizeof(float) * WIDTH * rows * sequences);
  for (long i = 0; i < (long)WIDTH * rows * sequences; i++) {
    x[i] = (float)(i % 97) / 48 - 1;
  }
  ggml_backend_tensor_set(input, x, 0, ggml_nbytes(input));

  struct ggml_context *c = context(64L * layers + 64);
  struct ggml_cgraph *graph = ggml_new_graph_custom(c, 16384, false);
  struct ggml_tensor *y = input;
  for (int i = 0; i < layers; i++) {
    y = block(c, &all[i], y, rows, sequences, mask);
  }
  if (rows > 1) {
    y = ggml_view_2d(c, y, WIDTH, 1, y->nb[1], (rows - 1) * y->nb[1]);
  }
  ggml_build_forward_expand(graph, ggml_mul_mat(c, head, norm(c, y)));
  ggml_gallocr_alloc_graph(ggml_gallocr_new(ggml_backend_cpu_buffer_type()), graph);
  for (int r = 0; r <= runs; r++) {
    double start = now();
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
      return 1;
    }
    if (r > 0) {
      printf("%s%.6f%s", r == 1 ? "[" : ", ", now() - start, r == runs ? "]\n" : "");
    }
  }
  return 0;
}
