/* model_openai_buf.c: see model_openai_buf.h. */
#include "plugins/model_openai/model_openai_buf.h"

#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof *b);
	b->max = max;
}

void
buf_fini(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
}

int
buf_add(struct buf *b, const char *p, size_t n)
{
	size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
	char *grown;

	if (n > b->max || b->n > b->max - n)
		return -1;
	if (b->n + n + 1 > b->cap) {
		while (cap < b->n + n + 1)
			cap *= 2;
		grown = realloc(b->p, cap);
		if (grown == NULL)
			return -1;
		b->p = grown;
		b->cap = cap;
	}
	if (n != 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
	return 0;
}
