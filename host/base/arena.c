/*
 * arena.c: bump allocation in chunks that double. Runs on the thread that owns the arena.
 *
 * Nothing is freed one by one: a task's memory ends with the task. The byte limit counts what was
 * handed out, so a task that reads a large answer gets a clear -INS_ENOMEM and the process lives
 * on. Loops keep the first chunks of ended arenas, since every request needs one. Under
 * AddressSanitizer nothing is kept and the unused rest of a chunk is poisoned, so a stale pointer
 * shows.
 */
#include "base/arena.h"

#include <insula/insula.h>

#define ARENA_MAGIC 0x4152454eu
#define ALIGN 16u

#if BASE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap, n; /* of the bytes behind this header */
};

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *);
	void *arg;
};

#define HEADER ((sizeof(struct arena_chunk) + ALIGN - 1) & ~(size_t)(ALIGN - 1))

static __thread struct arena_chunk *pool;
static __thread unsigned pool_n, pool_max;

void
arena_pool_init(void)
{
	pool_max = BASE_ASAN ? 0 : ARENA_POOL;
}

void
arena_pool_fini(void)
{
	struct arena_chunk *c;

	pool_max = 0;
	while ((c = pool) != NULL) {
		pool = c->next;
		free(c);
	}
	pool_n = 0;
}

static unsigned char *
chunk_bytes(struct arena_chunk *c)
{
	return (unsigned char *)c + HEADER;
}

static struct arena_chunk *
chunk_new(size_t cap)
{
	struct arena_chunk *c;

	if (cap == ARENA_CHUNK - HEADER && pool != NULL) {
		c = pool;
		pool = c->next;
		pool_n--;
	} else if ((c = malloc(HEADER + cap)) == NULL) {
		return NULL;
	}
	c->next = NULL;
	c->cap = cap;
	c->n = 0;
	ASAN_POISON_MEMORY_REGION(chunk_bytes(c), cap);
	return c;
}

static void
chunk_free(struct arena_chunk *c)
{
	ASAN_UNPOISON_MEMORY_REGION(chunk_bytes(c), c->cap);
	if (c->cap == ARENA_CHUNK - HEADER && pool_n < pool_max) {
		c->next = pool;
		pool = c;
		pool_n++;
	} else {
		free(c);
	}
}

void
arena_init(struct arena *a, size_t limit)
{
	memset(a, 0, sizeof *a);
	a->magic = ARENA_MAGIC;
	a->limit = limit;
}

void
arena_fini(struct arena *a)
{
	struct arena_cleanup *cl;
	struct arena_chunk *c;

	CHECK_OBJ(a, ARENA_MAGIC);
	while ((cl = a->cleanups) != NULL) {
		a->cleanups = cl->next;
		cl->fn(cl->arg);
	}
	while ((c = a->chunks) != NULL) {
		a->chunks = c->next;
		chunk_free(c);
	}
	a->magic = 0;
}

/* Makes room for n bytes: a new head, or, for a large piece, a chunk of its own behind the head so
 * that the head's rest is not lost. */
static struct arena_chunk *
chunk_add(struct arena *a, size_t n)
{
	struct arena_chunk *head = a->chunks, *c;
	size_t cap = ARENA_CHUNK - HEADER;

	if (head != NULL)
		cap = head->cap * 2 > ARENA_CHUNK_MAX ? ARENA_CHUNK_MAX : head->cap * 2;
	if (n > cap / 2 && n > ARENA_CHUNK / 2)
		cap = n;
	c = chunk_new(cap);
	if (c == NULL)
		return NULL;
	if (cap == n && head != NULL) {
		c->next = head->next;
		head->next = c;
	} else {
		c->next = head;
		a->chunks = c;
	}
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c;
	void *p;

	CHECK_OBJ(a, ARENA_MAGIC);
	if (n > a->limit)
		return NULL; /* also keeps the rounding from overflowing */
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n == 0)
		n = ALIGN;
	if (n > a->limit || a->used > a->limit - n)
		return NULL;
	c = a->chunks;
	if (c == NULL || c->cap - c->n < n) {
		c = chunk_add(a, n);
		if (c == NULL)
			return NULL;
	}
	p = chunk_bytes(c) + c->n;
	c->n += n;
	a->used += n;
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	return memset(p, 0, n);
}

char *
arena_strndup(struct arena *a, const char *p, size_t n)
{
	char *z = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);

	if (z != NULL && n > 0)
		memcpy(z, p, n);
	return z;
}

char *
arena_strdup(struct arena *a, const char *z)
{
	return arena_strndup(a, z, strlen(z));
}

char *
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char *z = NULL;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0)
		z = arena_alloc(a, (size_t)n + 1);
	if (z != NULL)
		vsnprintf(z, (size_t)n + 1, fmt, again);
	va_end(again);
	return z;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *z;

	va_start(ap, fmt);
	z = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return z;
}

int
arena_cleanup(struct arena *a, void (*fn)(void *), void *arg)
{
	struct arena_cleanup *cl = arena_alloc(a, sizeof *cl);

	if (cl == NULL)
		return -INS_ENOMEM;
	cl->fn = fn;
	cl->arg = arg;
	cl->next = a->cleanups;
	a->cleanups = cl;
	return 0;
}
