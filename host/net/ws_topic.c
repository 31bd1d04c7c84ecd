/*
 * ws_topic.c: topics: who on a loop wants what is published under a name.
 *
 * Each loop has a hash table of its own. A publication is one frame: the publisher's loop hands it
 * to its members, and every other loop that has topics gets a reference by mail. Nothing is locked,
 * and a loop learns of no other's members. The frame is written to at most WS_FLUSH_SLICE
 * connections at once; the rest follow in the loop's next turns.
 */
#include "net/ws.h"

#include <insula/insula.h>

#include "base/metric.h"

#define TOPIC_BUCKETS_FIRST 64u
#define TOPIC_MAIL_MAX 4096u                /* publications on their way to a loop */
#define TOPIC_MAIL_BYTES ((size_t)64 << 20) /* and what they hold, each counted whole */

struct ws_topic {
	struct ws_topic *next; /* in its bucket */
	struct list members;   /* struct ws_member.of_topic */
	uint64_t hash;
	char name[];
};

struct ws_member {
	struct list of_topic, of_conn;
	struct ws_topic *topic;
	struct ws_conn *conn;
};

struct topic_loop {
	struct ws_topic **buckets;
	unsigned n_buckets, n;
	unsigned any;      /* atomic, for other loops: n as of now */
	unsigned mails;    /* atomic, on their way here */
	size_t mail_bytes; /* atomic */
} __attribute__((aligned(64)));

static struct topic_loop topic_loops[LOOP_MAX];
static struct ins_metric *topic_lost;

void
ws_topic_init(void)
{
	unsigned i;

	topic_lost = metric_get(METRIC_COUNTER, "websocket_publications_lost_total",
	    "Publications that a loop was too busy to take from another", NULL);
	for (i = 0; i < LOOP_MAX; i++)
		ASSERT(topic_loops[i].n == 0);
}

static uint64_t
topic_hash(const char *z)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *z != '\0'; z++)
		h = (h ^ (uint8_t)*z) * UINT64_C(0x100000001b3);
	return h;
}

static struct ws_topic **
topic_slot(struct topic_loop *t, const char *name, uint64_t hash)
{
	struct ws_topic **slot = &t->buckets[hash & (t->n_buckets - 1)];

	while (*slot != NULL && ((*slot)->hash != hash || strcmp((*slot)->name, name) != 0))
		slot = &(*slot)->next;
	return slot;
}

static void
topic_grow(struct topic_loop *t)
{
	unsigned i, n = t->n_buckets == 0 ? TOPIC_BUCKETS_FIRST : t->n_buckets * 2;
	struct ws_topic **buckets = base_alloc(n * sizeof(struct ws_topic *)), *topic;

	for (i = 0; i < t->n_buckets; i++)
		while ((topic = t->buckets[i]) != NULL) {
			t->buckets[i] = topic->next;
			topic->next = buckets[topic->hash & (n - 1)];
			buckets[topic->hash & (n - 1)] = topic;
		}
	free(t->buckets);
	t->buckets = buckets;
	t->n_buckets = n;
}

static void
topic_count(struct topic_loop *t, int change)
{
	t->n += (unsigned)change;
	__atomic_store_n(&t->any, t->n, __ATOMIC_RELEASE);
	if (t->n > 0)
		return;
	free(t->buckets); /* nobody listens: a host that stops leaves nothing behind */
	t->buckets = NULL;
	t->n_buckets = 0;
}

static struct ws_member *
topic_member(struct ws_conn *w, const char *name)
{
	struct list *l;

	for (l = w->members.next; l != &w->members; l = l->next) {
		struct ws_member *m = CONTAINER_OF(l, struct ws_member, of_conn);

		if (strcmp(m->topic->name, name) == 0)
			return m;
	}
	return NULL;
}

int
ws_topic_join(struct ws_conn *w, const char *name, unsigned max)
{
	struct topic_loop *t = &topic_loops[w->loop->index];
	uint64_t hash = topic_hash(name);
	struct ws_topic **slot;
	struct ws_member *m;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	ASSERT(w->loop == loop_self());
	if (w->gone)
		return -INS_ECANCELED;
	if (topic_member(w, name) != NULL)
		return 0;
	if (w->n_members >= max)
		return -INS_ELIMIT;
	if (t->n >= t->n_buckets)
		topic_grow(t);
	slot = topic_slot(t, name, hash);
	if (*slot == NULL) {
		*slot = base_alloc(sizeof(**slot) + strlen(name) + 1);
		list_init(&(*slot)->members);
		(*slot)->hash = hash;
		strcpy((*slot)->name, name);
		topic_count(t, 1);
	}
	m = base_alloc(sizeof(*m));
	m->topic = *slot;
	m->conn = w;
	list_append(&m->topic->members, &m->of_topic);
	list_append(&w->members, &m->of_conn);
	w->n_members++;
	return 0;
}

static void
topic_drop(struct ws_member *m)
{
	struct ws_conn *w = m->conn;
	struct topic_loop *t = &topic_loops[w->loop->index];
	struct ws_topic *topic = m->topic, **slot;

	list_remove(&m->of_topic);
	list_remove(&m->of_conn);
	w->n_members--;
	free(m);
	if (!list_empty(&topic->members))
		return;
	slot = topic_slot(t, topic->name, topic->hash);
	ASSERT(*slot == topic);
	*slot = topic->next;
	free(topic);
	topic_count(t, -1);
}

void
ws_topic_leave(struct ws_conn *w, const char *name)
{
	struct ws_member *m = topic_member(w, name);

	if (m != NULL)
		topic_drop(m);
}

void
ws_topic_leave_all(struct ws_conn *w)
{
	while (!list_empty(&w->members))
		topic_drop(LIST_FIRST(&w->members, struct ws_member, of_conn));
}

/* Members cannot leave meanwhile: what a close wakes goes on in a later turn. */
static void
topic_publish_here(struct ins_loop *loop, const char *name, struct ws_frame *f)
{
	struct topic_loop *t = &topic_loops[loop->index];
	struct ws_topic *topic;
	struct list *l;

	topic = t->n > 0 ? *topic_slot(t, name, topic_hash(name)) : NULL;
	if (topic == NULL)
		return;
	for (l = topic->members.next; l != &topic->members; l = l->next) {
		struct ws_conn *w = CONTAINER_OF(l, struct ws_member, of_topic)->conn;

		if (ws_send_later(w, f) == -INS_ELIMIT)
			ws_close(w, WS_TRY_LATER, "too slow for what is published", 1);
	}
	ws_flush_some(loop);
}

struct topic_mail {
	struct ws_frame *frame;
	char name[];
};

static void
topic_on_mail(struct ins_loop *loop, void *arg)
{
	struct topic_mail *m = arg;
	struct topic_loop *t = &topic_loops[loop->index];

	__atomic_fetch_sub(&t->mails, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&t->mail_bytes, m->frame->n, __ATOMIC_RELAXED);
	topic_publish_here(loop, m->name, m->frame);
	ws_frame_unref(m->frame);
	free(m);
}

void
ws_topic_publish(const char *name, struct ws_frame *f)
{
	struct ins_loop *self = loop_self(), *loop;
	struct topic_mail *m;
	unsigned i;

	for (i = 0; i < loop_count(); i++) {
		loop = loop_get((int)i);
		if (loop == self || __atomic_load_n(&topic_loops[i].any, __ATOMIC_ACQUIRE) == 0)
			continue;
		/* A loop that cannot follow loses some, as slow receivers do. */
		if (__atomic_load_n(&topic_loops[i].mails, __ATOMIC_RELAXED) >= TOPIC_MAIL_MAX ||
		    __atomic_load_n(&topic_loops[i].mail_bytes, __ATOMIC_RELAXED) + f->n >
			TOPIC_MAIL_BYTES) {
			metric_add(topic_lost, NULL, 1);
			continue;
		}
		__atomic_fetch_add(&topic_loops[i].mails, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&topic_loops[i].mail_bytes, f->n, __ATOMIC_RELAXED);
		m = base_alloc(sizeof(*m) + strlen(name) + 1);
		m->frame = ws_frame_ref(f);
		strcpy(m->name, name);
		loop_post(loop, topic_on_mail, m);
	}
	topic_publish_here(self, name, f);
	ws_frame_unref(f);
}
