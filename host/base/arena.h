/* arena.h: memory that ends all at once, with a LIFO list of cleanups and a byte limit. Not thread
 * safe; belongs to one task, one generation or one instance. */
#ifndef HOST_ARENA_H
#define HOST_ARENA_H

#include "base/base.h"

struct arena {
	uint32_t magic;
	size_t used, limit;
	struct arena_chunk *chunks;
	struct arena_cleanup *cleanups;
};

void arena_init(struct arena *, size_t limit);
/* Runs the cleanups, last first, then frees. A cleanup may still allocate. */
void arena_fini(struct arena *);
/* Zeroed, aligned to 16. NULL past the limit. */
void *arena_alloc(struct arena *, size_t n);
char *arena_strndup(struct arena *, const char *p, size_t n);
char *arena_strdup(struct arena *, const char *z);
char *arena_printf(struct arena *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* 0, or -INS_ENOMEM past the limit. */
int arena_cleanup(struct arena *, void (*fn)(void *), void *arg);

#endif
