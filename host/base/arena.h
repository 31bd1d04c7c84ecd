/* arena.h: memory that ends all at once, with a LIFO list of cleanups and a byte limit. Not thread
 * safe; belongs to one task, one generation or one instance. */
#ifndef HOST_ARENA_H
#define HOST_ARENA_H

#include <stdarg.h>

#include "base/base.h"

#define ARENA_CHUNK 4096u       /* the first chunk of an arena; what a small request needs */
#define ARENA_CHUNK_MAX 262144u /* chunks double up to this */
#define ARENA_POOL 256u         /* first chunks that a loop's thread keeps for the next task */

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
void *arena_alloc(struct arena *, size_t n) __attribute__((malloc));
char *arena_strndup(struct arena *, const char *p, size_t n);
char *arena_strdup(struct arena *, const char *z);
char *arena_printf(struct arena *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
/* 0, or -INS_ENOMEM past the limit. */
int arena_cleanup(struct arena *, void (*fn)(void *), void *arg);

/* Lets this thread keep the first chunks of ended arenas; loop.c brackets a loop's life with them.
 */
void arena_pool_init(void);
void arena_pool_fini(void);

#endif
