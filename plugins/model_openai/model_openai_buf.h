/*
 * model_openai_buf.h: a growing byte buffer that states its maximum when it is made, for what an
 * upstream sends piece by piece. Heap memory, since pieces outlive no task but may be larger than a
 * task's arena. No thread of its own, no I/O.
 */
#ifndef MODEL_OPENAI_BUF_H
#define MODEL_OPENAI_BUF_H

#include <stddef.h>

struct buf {
	char *p; /* NUL-terminated once anything was added; NULL before */
	size_t n, cap, max;
};

void buf_init(struct buf *, size_t max);
void buf_fini(struct buf *);
/* 0, or -1 when it would pass max or memory is out; then nothing was added. */
int buf_add(struct buf *, const char *p, size_t n);

#endif
