/*
 * relay.c: the table of subjects with who listens to each, and the thread that speaks to NATS.
 *
 * One lock for the table and the queue to NATS. A subject lives while somebody listens. This host
 * hears all that others say, by one subscription that stands as long as the connection, and drops
 * what nobody here listens to: what is relayed is only what is watched from elsewhere, and
 * subscriptions that come and go with each watcher cost more, on both sides, than they save.
 *
 * A connection of its own, not the bus': no_echo belongs to a connection, and a burst of tokens
 * must not hold up acknowledgements.
 */
#include "data/relay.h"

#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/metric.h"
#include "data/bus_impl.h"

#define BUCKETS 4096u /* a power of two */
#define RELAY_MAGIC 0x524c4159u

struct subject {
	struct subject *next; /* in its bucket */
	struct list relays;
	char name[];
};

struct ins_relay {
	uint32_t magic;
	struct list link;
	struct subject *subject;
	struct ins_loop *loop;
	void (*fn)(void *, const char *, ins_str);
	void *arg, *owner;
	atomic_uint refs; /* its maker, and each post under way */
	int closed;       /* its loop */
};

/* One message, shared by all that it goes to. */
struct message {
	struct message *next; /* to NATS */
	atomic_uint refs;
	size_t n;
	char *data; /* behind the subject */
	char subject[];
};

struct post {
	struct ins_relay *relay;
	struct message *msg;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	int threaded, closing;
	char *url;
	natsConnection *nc;
	natsSubscription *sub; /* the thread's, and relay_fini's after it */
	struct subject *buckets[BUCKETS];
	struct message *out, **out_tail;
	unsigned n_out, n_open;
	size_t out_bytes;
	struct {
		atomic_uint n;
		atomic_size_t bytes;
	} to_loop[LOOP_MAX];
} rl = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .out_tail = &rl.out };

static struct ins_metric *m_messages, *m_dropped;

static void
lock(void)
{
	AZ(pthread_mutex_lock(&rl.lock));
}

static void
unlock(void)
{
	AZ(pthread_mutex_unlock(&rl.lock));
}

static void
count(struct ins_metric *m, const char *label)
{
	if (m != NULL)
		metric_add(m, label, 1);
}

static void
dropped(const char *where)
{
	count(m_dropped, where);
}

static void
message_unref(struct message *m)
{
	if (atomic_fetch_sub(&m->refs, 1) == 1)
		free(m);
}

static struct message *
message_new(const char *subject, const void *p, size_t n)
{
	size_t k = strlen(subject) + 1;
	struct message *m = base_alloc(sizeof *m + k + n);

	atomic_init(&m->refs, 1);
	m->n = n;
	m->data = m->subject + k;
	memcpy(m->subject, subject, k);
	if (n > 0)
		memcpy(m->data, p, n);
	return m;
}

static void
relay_unref(struct ins_relay *r)
{
	CHECK_OBJ(r, RELAY_MAGIC);
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	r->magic = 0;
	free(r);
}

static struct subject **
find(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	struct subject **at;
	const char *p;

	for (p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (at = &rl.buckets[h & (BUCKETS - 1)]; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0)
			break;
	return at;
}

/* Under the lock: nobody listens. */
static void
forget(struct subject *s)
{
	struct subject **at = find(s->name);

	ASSERT(*at == s);
	*at = s->next;
	free(s);
}

/* ------------------------------------------------------------------------------- to the loops */

static void
arrive(struct ins_loop *loop, void *arg)
{
	struct post *post = arg;
	struct ins_relay *r = post->relay;
	struct message *m = post->msg;
	const ins_str data = { m->data, m->n };

	atomic_fetch_sub(&rl.to_loop[loop->index].n, 1);
	atomic_fetch_sub(&rl.to_loop[loop->index].bytes, m->n);
	if (!r->closed)
		r->fn(r->arg, m->subject, data);
	relay_unref(r);
	message_unref(m);
	free(post);
}

/* Under the lock. */
static void
to_loops(struct message *m)
{
	struct subject *s = *find(m->subject);
	struct list *l;

	if (s == NULL)
		return;
	for (l = s->relays.next; l != &s->relays; l = l->next) {
		struct ins_relay *r = CONTAINER_OF(l, struct ins_relay, link);
		int i = r->loop->index;
		struct post *post;

		if (atomic_load(&rl.to_loop[i].n) >= RELAY_LOOP_MAX ||
		    atomic_load(&rl.to_loop[i].bytes) + m->n > RELAY_LOOP_BYTES) {
			dropped("loop");
			continue;
		}
		atomic_fetch_add(&rl.to_loop[i].n, 1);
		atomic_fetch_add(&rl.to_loop[i].bytes, m->n);
		atomic_fetch_add(&r->refs, 1);
		atomic_fetch_add(&m->refs, 1);
		post = base_alloc(sizeof *post);
		post->relay = r;
		post->msg = m;
		loop_post(r->loop, arrive, post);
	}
}

static int
subject_ok(const char *z)
{
	size_t n = strlen(z), k = strlen(RELAY_PREFIX);

	return n > k && n <= RELAY_SUBJECT_MAX && strncmp(z, RELAY_PREFIX, k) == 0 &&
	    z[strcspn(z, " \t\r\n*>")] == '\0' && z[n - 1] != '.' && strstr(z, "..") == NULL;
}

int
relay_publish(const char *subject, const void *p, size_t n)
{
	struct message *m;

	if (!subject_ok(subject))
		return -INS_EINVAL;
	if (n > RELAY_DATA_MAX)
		return -INS_ETOOBIG;
	m = message_new(subject, p, n);
	count(m_messages, "published");
	lock();
	to_loops(m);
	if (rl.threaded && !rl.closing) {
		if (rl.n_out >= RELAY_OUT_MAX || rl.out_bytes + n > RELAY_OUT_BYTES) {
			dropped("nats");
		} else {
			atomic_fetch_add(&m->refs, 1);
			*rl.out_tail = m;
			rl.out_tail = &m->next;
			rl.n_out++;
			rl.out_bytes += n;
			AZ(pthread_cond_signal(&rl.cond));
		}
	}
	unlock();
	message_unref(m);
	return 0;
}

struct ins_relay *
relay_open(struct ins_loop *loop, const char *subject,
    void (*fn)(void *arg, const char *subject, ins_str data), void *arg, void *owner)
{
	struct ins_relay *r;
	struct subject **at, *s;

	ASSERT(loop == loop_self() && loop->index >= 0);
	if (!subject_ok(subject))
		return NULL;
	lock();
	if (rl.n_open >= RELAY_OPEN_MAX) {
		unlock();
		return NULL;
	}
	rl.n_open++;
	at = find(subject);
	if ((s = *at) == NULL) {
		s = *at = base_alloc(sizeof *s + strlen(subject) + 1);
		list_init(&s->relays);
		strcpy(s->name, subject);
	}
	r = base_alloc(sizeof *r);
	r->magic = RELAY_MAGIC;
	r->subject = s;
	r->loop = loop;
	r->fn = fn;
	r->arg = arg;
	r->owner = owner;
	atomic_init(&r->refs, 1);
	list_append(&s->relays, &r->link);
	unlock();
	return r;
}

void
relay_close(struct ins_relay *r)
{
	if (r == NULL)
		return;
	CHECK_OBJ(r, RELAY_MAGIC);
	ASSERT(r->loop == loop_self() && !r->closed);
	r->closed = 1;
	lock();
	rl.n_open--;
	list_remove(&r->link);
	if (list_empty(&r->subject->relays))
		forget(r->subject);
	unlock();
	relay_unref(r);
}

void *
relay_owner(const struct ins_relay *r)
{
	CHECK_OBJ(r, RELAY_MAGIC);
	return r->owner;
}

struct ins_loop *
relay_loop(const struct ins_relay *r)
{
	CHECK_OBJ(r, RELAY_MAGIC);
	return r->loop;
}

/* ------------------------------------------------------------------------------------- to NATS */

/* Most of what others say is for nobody here. */
static int
heard(const char *subject)
{
	int yes;

	lock();
	yes = *find(subject) != NULL;
	unlock();
	return yes;
}

/* A thread of the library. */
static void
received(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *arg)
{
	int n = natsMsg_GetDataLength(msg);
	struct message *m;

	if (n < 0 || (size_t)n > RELAY_DATA_MAX) {
		dropped("size");
	} else if (heard(natsMsg_GetSubject(msg))) {
		m = message_new(natsMsg_GetSubject(msg), natsMsg_GetData(msg), (size_t)n);
		count(m_messages, "received");
		lock();
		to_loops(m);
		unlock();
		message_unref(m);
	}
	natsMsg_Destroy(msg);
}

static void
on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg)
{
	if (s == NATS_SLOW_CONSUMER)
		dropped("library");
	log_msg(INS_LOG_DEBUG, "relay.error", "%s", natsStatus_GetText(s));
}

static void
on_change(natsConnection *nc, void *arg)
{
	log_msg(INS_LOG_DEBUG, "relay.connection", "%s",
	    natsConnection_Status(nc) == NATS_CONN_STATUS_CONNECTED ? "connected" : "away");
}

static natsStatus
connect_relay(natsConnection **ret)
{
	static const struct bus_stay stay = { on_change, on_change, on_error };
	natsOptions *o = NULL;
	natsStatus s = bus_options(&o, rl.url, "insula relay", &stay);

	if (s == NATS_OK)
		s = natsOptions_SetNoEcho(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(o, true);
	if (s == NATS_OK)
		s = natsConnection_Connect(ret, o);
	natsOptions_Destroy(o);
	return s == NATS_NOT_YET_CONNECTED ? NATS_OK : s;
}

/* The thread, with the lock, which it lets go. */
static void
send_out(void)
{
	struct message *m = rl.out, *next;

	rl.out = NULL;
	rl.out_tail = &rl.out;
	rl.n_out = 0;
	rl.out_bytes = 0;
	unlock();
	for (; m != NULL; m = next) {
		next = m->next;
		/* The library would keep it for later: an old "look again" is worth nothing. */
		if (rl.nc == NULL || natsConnection_Status(rl.nc) != NATS_CONN_STATUS_CONNECTED ||
		    natsConnection_Publish(rl.nc, m->subject, m->data, (int)m->n) != NATS_OK)
			dropped("away");
		message_unref(m);
	}
	lock();
}

/* The thread, with the lock. */
static void
pause_ms(int ms)
{
	struct timespec ts;
	int r;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	r = pthread_cond_timedwait(&rl.cond, &rl.lock, &ts);
	ASSERT(r == 0 || r == ETIMEDOUT);
}

static void *
run(void *arg)
{
	natsConnection *nc = NULL;
	natsStatus s;

	pthread_setname_np(pthread_self(), "relay");
	while ((s = connect_relay(&nc)) != NATS_OK ||
	    (s = natsConnection_Subscribe(&rl.sub, nc, RELAY_PREFIX ">", received, NULL)) !=
		NATS_OK) {
		natsConnection_Destroy(nc);
		nc = NULL;
		log_msg(INS_LOG_ERROR, "relay.connect_failed", "NATS: %s", natsStatus_GetText(s));
		lock();
		if (!rl.closing)
			pause_ms(5000);
		send_out();
		if (rl.closing) {
			unlock();
			return NULL;
		}
		unlock();
	}
	natsSubscription_SetPendingLimits(rl.sub, RELAY_PENDING_MAX, RELAY_PENDING_BYTES);
	lock();
	rl.nc = nc;
	while (!rl.closing) {
		if (rl.out == NULL)
			AZ(pthread_cond_wait(&rl.cond, &rl.lock));
		if (rl.out != NULL)
			send_out();
	}
	unlock();
	return NULL;
}

int
relay_up(void)
{
	int up;

	lock();
	up = rl.nc != NULL && natsConnection_Status(rl.nc) == NATS_CONN_STATUS_CONNECTED;
	unlock();
	return up;
}

void
relay_init(const char *url)
{
	sigset_t all, old;

	ASSERT(!rl.threaded);
	m_messages = metric_get(METRIC_COUNTER, "relay_messages_total",
	    "Lossy messages between loops and hosts, by direction.", "direction");
	m_dropped = metric_get(METRIC_COUNTER, "relay_dropped_total",
	    "Lossy messages that were lost, by where: on the way to a loop, to NATS, in its "
	    "library, or with NATS away.",
	    "where");
	rl.closing = 0;
	if (url == NULL)
		return;
	rl.url = base_strdup(url);
	rl.threaded = 1;
	/* The library's threads come of this one and inherit its mask. */
	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	AZ(pthread_create(&rl.thread, NULL, run, NULL));
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

void
relay_fini(void)
{
	natsConnection *nc;

	if (!rl.threaded)
		return;
	lock();
	rl.closing = 1;
	AZ(pthread_cond_signal(&rl.cond));
	unlock();
	AZ(pthread_join(rl.thread, NULL));
	lock();
	send_out();
	nc = rl.nc;
	rl.nc = NULL;
	rl.threaded = 0;
	unlock();
	/* Before its subscription: no message is under way to one that goes (see bus.c). */
	natsConnection_Close(nc);
	natsSubscription_Destroy(rl.sub);
	rl.sub = NULL;
	natsConnection_Destroy(nc);
	free(rl.url);
	rl.url = NULL;
}
