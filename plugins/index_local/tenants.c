/* tenants.c: see tenants.h. */
#include "tenants.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

struct tenant {
	struct tenant *next;          /* of the bucket */
	struct tenant *newer, *older; /* by use */
	struct index_set *set;
	int busy;
	char id[37];
};

struct tenants {
	pthread_mutex_t lock;
	size_t max, bytes, reported;
	unsigned n;
	struct tenant *newest, *oldest;
	struct tenant *buckets[BUCKETS];
};

struct tenants *
tenants_new(size_t max_bytes)
{
	struct tenants *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->max = max_bytes;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static struct tenant **
bucket(struct tenants *t, const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id != '\0'; id++)
		h = (h ^ (uint8_t)*id) * 16777619u;
	return &t->buckets[h & (BUCKETS - 1)];
}

static struct tenant *
find(struct tenants *t, const char *id)
{
	struct tenant *e;

	for (e = *bucket(t, id); e != NULL; e = e->next)
		if (strcmp(e->id, id) == 0)
			return e;
	return NULL;
}

static void
unlink_use(struct tenants *t, struct tenant *e)
{
	*(e->newer != NULL ? &e->newer->older : &t->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &t->oldest) = e->newer;
}

static void
use(struct tenants *t, struct tenant *e)
{
	e->newer = NULL;
	e->older = t->newest;
	*(t->newest != NULL ? &t->newest->newer : &t->oldest) = e;
	t->newest = e;
}

static void
drop(struct tenants *t, struct tenant *e)
{
	struct tenant **p = bucket(t, e->id);

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	unlink_use(t, e);
	t->bytes -= e->set->bytes;
	t->n--;
	index_set_unref(e->set);
	free(e);
}

/* The newest one stays even if it is larger than all may be: it would be read again for every
 * search. */
static void
evict(struct tenants *t)
{
	struct tenant *e, *newer;

	for (e = t->oldest; e != NULL && t->bytes > t->max; e = newer) {
		newer = e->newer;
		if (!e->busy && e != t->newest)
			drop(t, e);
	}
}

static struct tenant *
get(struct tenants *t, const char *id)
{
	struct tenant *e = find(t, id), **p;

	if (e != NULL) {
		unlink_use(t, e);
		use(t, e);
		return e;
	}
	e = strlen(id) >= sizeof e->id ? NULL : calloc(1, sizeof *e);
	if (e == NULL)
		return NULL;
	e->set = index_set_new();
	if (e->set == NULL) {
		free(e);
		return NULL;
	}
	strcpy(e->id, id);
	p = bucket(t, id);
	e->next = *p;
	*p = e;
	use(t, e);
	t->n++;
	t->bytes += e->set->bytes;
	evict(t);
	return e;
}

struct index_set *
tenants_get(struct tenants *t, const char *id)
{
	struct index_set *s = NULL;
	struct tenant *e;

	pthread_mutex_lock(&t->lock);
	e = get(t, id);
	if (e != NULL)
		s = index_set_ref(e->set);
	pthread_mutex_unlock(&t->lock);
	return s;
}

int
tenants_begin(struct tenants *t, const char *id)
{
	struct tenant *e;
	int r = -1;

	pthread_mutex_lock(&t->lock);
	e = get(t, id);
	if (e != NULL) {
		r = !e->busy;
		e->busy = 1;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void
tenants_end(struct tenants *t, const char *id, struct index_set *set)
{
	struct index_set *old = NULL;
	struct tenant *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, id); /* a busy one is never dropped */
	e->busy = 0;
	if (set != NULL) {
		t->bytes += set->bytes - e->set->bytes;
		old = e->set;
		e->set = set;
	}
	evict(t);
	pthread_mutex_unlock(&t->lock);
	index_set_unref(old);
}

ptrdiff_t
tenants_grown(struct tenants *t)
{
	ptrdiff_t n;

	pthread_mutex_lock(&t->lock);
	n = (ptrdiff_t)(t->bytes - t->reported);
	t->reported = t->bytes;
	pthread_mutex_unlock(&t->lock);
	return n;
}

unsigned
tenants_count(struct tenants *t)
{
	unsigned n;

	pthread_mutex_lock(&t->lock);
	n = t->n;
	pthread_mutex_unlock(&t->lock);
	return n;
}

void
tenants_free(struct tenants *t)
{
	if (t == NULL)
		return;
	while (t->oldest != NULL)
		drop(t, t->oldest);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
