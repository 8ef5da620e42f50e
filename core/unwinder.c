#include "unwinder.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
struct denet_unwinder { int x; };
int denet_unwinder_new(const char *p, uint64_t b, struct denet_unwinder **o) { (void)p; (void)b; *o = calloc(1, sizeof(**o)); return 0; }
void denet_unwinder_free(struct denet_unwinder *u) { free(u); }
int denet_unwinder_meet(struct denet_unwinder *u, pid_t a, uint64_t b, uint64_t c, pid_t d, uint64_t e) { (void)u;(void)a;(void)b;(void)c;(void)d;(void)e; return 0; }
void denet_unwinder_forget(struct denet_unwinder *u, pid_t p, uint64_t s) { (void)u;(void)p;(void)s; }
int denet_unwinder_frames(struct denet_unwinder *u, const struct denet_snapshot *s, struct denet_buffer *out) {
  char t[64]; (void)u; int n = snprintf(t, sizeof(t), "0x%lx+%zu", s->registers[16], s->stack_bytes); return denet_buffer_append(out, t, (size_t)n + 1); }
