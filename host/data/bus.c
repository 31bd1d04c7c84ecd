/*
 * bus.c: the connection to NATS, its streams, and the thread that settles deliveries.
 *
 * One lock for all of it: nothing here is hot, since each event has cost a commit. The bus' thread
 * connects, makes the streams, acknowledges what has ended (a loop must not block on a socket that
 * is not its own), writes dead letters and tells the broker of deliveries that take long. The
 * library's threads only set flags.
 *
 * libnats before 3.6.1 (Debian 12 has 3.4.1) looks a subscription up for a message that came in,
 * and uses it after it let go of the table's lock: who frees one while the server still sends to it
 * damages the heap. Hence bus_retire(): freed after a round trip to the server that began when the
 * subscription was out of the table, or after the connection has ended. And hence no js_Publish-
 * Async() and no js_PullSubscribe(), which free theirs as they please; what they send is three
 * lines each.
 */
#include "data/bus_impl.h"

#include <errno.h>
#include <signal.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"

#define BUS_TICK_MS 500
#define BUS_PUBLISH_MS 5000 /* for the acknowledgements of a batch */
#define BUS_SLICE_MS 500    /* and how often we look whether NATS is still there meanwhile */

int64_t bus_retry_ms[BUS_RETRIES] = { 1000, 5000, 25000 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	int running, closing, connected, publishing;
	char *url;
	natsConnection *nc;
	int streams;    /* were there when we looked after the last connect */
	unsigned epoch; /* how often that was */
	struct retired *retired;
	struct list outstanding, settle;
	int64_t told_us; /* in-progress */
} bus = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

/* Unsubscribed, and to be freed once no message for it can be under way. */
struct retired {
	struct retired *next;
	natsSubscription *sub;
};

/* One batch at a time; its acknowledgements come to one subscription, as long as the connection. */
static struct {
	pthread_mutex_t lock;
	natsSubscription *sub;
	natsInbox *inbox;
	uint64_t turn;
} pub = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct ins_metric *m_dead, *m_deliveries;

void
bus_lock(void)
{
	AZ(pthread_mutex_lock(&bus.lock));
}

void
bus_unlock(void)
{
	AZ(pthread_mutex_unlock(&bus.lock));
}

int
bus_closing(void)
{
	return bus.closing || !bus.running;
}

natsConnection *
bus_connection(void)
{
	return bus.nc;
}

int
bus_ready(void)
{
	return bus.connected && bus.streams;
}

unsigned
bus_epoch(void)
{
	return bus.epoch;
}

void
bus_signal(void)
{
	AZ(pthread_cond_broadcast(&bus.cond));
}

void
bus_wait(int ms)
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
	r = pthread_cond_timedwait(&bus.cond, &bus.lock, &ts);
	ASSERT(r == 0 || r == ETIMEDOUT);
}

int
bus_up(void)
{
	int up;

	bus_lock();
	up = bus.running && bus_ready();
	bus_unlock();
	return up;
}

void
bus_retry_set(const int64_t ms[BUS_RETRIES])
{
	static const int64_t normal[BUS_RETRIES] = { 1000, 5000, 25000 };

	memcpy(bus_retry_ms, ms == NULL ? normal : ms, sizeof bus_retry_ms);
}

static void
set_connected(int connected)
{
	bus_lock();
	if (bus.connected != connected && !bus.closing)
		log_msg(connected ? INS_LOG_INFO : INS_LOG_WARN,
		    connected ? "bus.connected" : "bus.disconnected", "%s",
		    connected ? "NATS is there" : "NATS is away: events wait in the outbox");
	bus.connected = connected;
	/* Who comes back may have lost its files: the streams are looked for again. */
	bus.streams = 0;
	bus_signal();
	bus_unlock();
}

static void
on_connected(natsConnection *nc, void *arg)
{
	set_connected(1);
}

static void
on_disconnected(natsConnection *nc, void *arg)
{
	set_connected(0);
}

static void
on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg)
{
	log_msg(INS_LOG_DEBUG, "bus.error", "%s", natsStatus_GetText(s));
}

natsStatus
bus_options(natsOptions **o, const char *url, const char *name, const struct bus_stay *stay)
{
	natsStatus s = natsOptions_Create(o);

	if (s == NATS_OK)
		s = natsOptions_SetURL(*o, url);
	if (s == NATS_OK)
		s = natsOptions_SetName(*o, name);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(*o, 2000);
	if (s == NATS_OK)
		s = natsOptions_SetWriteDeadline(*o, 2000);
	if (s != NATS_OK || stay == NULL)
		return s;
	s = natsOptions_SetMaxReconnect(*o, -1);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(*o, 250);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectJitter(*o, 100, 100);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(*o, 10000);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(*o, true, stay->connected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(*o, stay->connected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(*o, stay->disconnected, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(*o, stay->error, NULL);
	return s;
}

static natsStatus
connect_bus(void)
{
	static const struct bus_stay stay = { on_connected, on_disconnected, on_error };
	natsConnection *nc = NULL;
	natsOptions *o = NULL;
	natsStatus s = bus_options(&o, bus.url, "insula", &stay);

	if (s == NATS_OK)
		s = natsConnection_Connect(&nc, o);
	natsOptions_Destroy(o);
	if (s == NATS_OK)
		set_connected(1);
	if (s == NATS_OK || s == NATS_NOT_YET_CONNECTED) {
		bus_lock();
		bus.nc = nc;
		bus_unlock();
		return NATS_OK;
	}
	return s;
}

static natsStatus
stream_make(jsCtx *js, const char *name, const char *subject, int64_t age_s, int64_t bytes)
{
	jsStreamConfig c;
	jsErrCode code = 0;
	natsStatus s;

	jsStreamConfig_Init(&c);
	c.Name = name;
	c.Subjects = &subject;
	c.SubjectsLen = 1;
	c.Storage = js_FileStorage;
	c.MaxAge = age_s * INT64_C(1000000000);
	c.MaxBytes = bytes;
	c.Duplicates = BUS_DUPLICATES_S * INT64_C(1000000000);
	s = js_AddStream(NULL, js, &c, NULL, &code);
	/* There already, with limits that an operator changed: theirs stay. */
	return s != NATS_OK && code == JSStreamNameExistErr ? NATS_OK : s;
}

natsStatus
bus_streams_make(jsCtx *js)
{
	natsStatus s = stream_make(js, BUS_STREAM, "t.>", BUS_EVENTS_AGE_S, BUS_EVENTS_BYTES);

	return s != NATS_OK
	    ? s
	    : stream_make(js, BUS_DEAD_STREAM, BUS_DEAD_PREFIX ">", BUS_DEAD_AGE_S, -1);
}

/* Bus thread, without the lock. */
static void
streams(natsConnection *nc)
{
	static natsStatus told = NATS_OK;
	jsCtx *js = NULL;
	jsOptions o;
	natsStatus s;

	jsOptions_Init(&o);
	o.Wait = BUS_JS_MS;
	s = natsConnection_JetStream(&js, nc, &o);
	if (s == NATS_OK)
		s = bus_streams_make(js);
	if (s != NATS_OK && s != told)
		log_msg(INS_LOG_WARN, "bus.no_streams", "JetStream: %s", natsStatus_GetText(s));
	told = s;
	bus_lock();
	if (s == NATS_OK && bus.connected) {
		bus.streams = 1;
		bus.epoch++;
		bus_signal();
	}
	bus_unlock();
	jsCtx_Destroy(js);
}

void
bus_retire(natsSubscription *sub)
{
	struct retired *r;

	if (sub == NULL)
		return;
	r = base_alloc(sizeof *r);
	r->sub = sub;
	natsSubscription_Unsubscribe(sub);
	bus_lock();
	r->next = bus.retired;
	bus.retired = r;
	bus_signal();
	bus_unlock();
}

static void
retired_free(struct retired *r)
{
	struct retired *next;

	for (; r != NULL; r = next) {
		next = r->next;
		natsSubscription_Destroy(r->sub);
		free(r);
	}
}

/* Bus thread, with the lock, which it lets go. The answer to a ping comes behind all that the
 * server had sent. */
static void
free_retired(void)
{
	struct retired *r = bus.retired, **tail;
	natsStatus s;

	if (r == NULL || !bus.connected)
		return;
	bus.retired = NULL;
	bus_unlock();
	s = natsConnection_FlushTimeout(bus.nc, BUS_JS_MS);
	if (s == NATS_OK)
		retired_free(r);
	bus_lock();
	if (s == NATS_OK)
		return;
	for (tail = &bus.retired; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = r;
}

void
bus_add(struct bus_delivery *d)
{
	d->sub->in_flight++;
	d->sub->refs++;
	list_append(&bus.outstanding, &d->link);
}

void
bus_settle(struct bus_delivery *d)
{
	list_remove(&d->link);
	list_append(&bus.settle, &d->link);
	bus_signal();
}

static void
delivery_free(struct bus_delivery *d)
{
	natsMsg_Destroy(d->msg);
	json_decref(d->envelope);
	free(d->error);
	d->magic = 0;
	free(d);
}

/* The broker counts deliveries, we count tries: the difference is kept here, for the latest. */
static struct {
	uint64_t durable, stream_seq, n;
} returned[BUS_RETURNED_MAX];
static unsigned next_returned;

static uint64_t
durable_hash(const char *z)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *z != '\0'; z++)
		h = (h ^ (unsigned char)*z) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t
bus_returned(const char *durable, uint64_t stream_seq)
{
	uint64_t h = durable_hash(durable);
	unsigned i;

	for (i = 0; i < BUS_RETURNED_MAX; i++)
		if (returned[i].stream_seq == stream_seq && returned[i].durable == h)
			return returned[i].n;
	return 0;
}

/* Under the lock. */
static void
count_return(const struct bus_delivery *d)
{
	uint64_t h = durable_hash(d->sub->durable);
	unsigned i;

	for (i = 0; i < BUS_RETURNED_MAX; i++)
		if (returned[i].stream_seq == d->stream_seq && returned[i].durable == h)
			break;
	if (i == BUS_RETURNED_MAX) {
		i = next_returned++ % BUS_RETURNED_MAX;
		returned[i].durable = h;
		returned[i].stream_seq = d->stream_seq;
		returned[i].n = 0;
	}
	returned[i].n++;
}

/* Under the lock. */
static void
finish(struct bus_delivery *d)
{
	d->sub->in_flight--;
	if (bus.running) {
		bus_settle(d);
	} else {
		list_remove(&d->link);
		bus_sub_unref(d->sub);
		delivery_free(d);
	}
}

void
bus_return(void *token)
{
	struct bus_delivery *d = token;

	CHECK_OBJ(d, BUS_DELIVERY_MAGIC);
	bus_lock();
	d->returned = 1;
	count_return(d);
	finish(d);
	bus_unlock();
}

void
bus_done(void *token, int result, const char *error)
{
	struct bus_delivery *d = token;

	CHECK_OBJ(d, BUS_DELIVERY_MAGIC);
	bus_lock();
	d->result = result;
	if (result < 0)
		d->error = base_strdup(error == NULL ? "failed" : error);
	finish(d);
	bus_unlock();
}

/* Bus thread, without the lock. 0 when it is off our hands. */
static int
settle_one(natsConnection *nc, struct bus_delivery *d)
{
	char nak[64];

	if (d->returned) {
		snprintf(nak, sizeof nak, "-NAK {\"delay\": %d}", BUS_RETURN_MS * 1000000);
		bus_reply(nc, d->msg, nak);
		metric_add(m_deliveries, "returned", 1);
	} else if (d->result >= 0) {
		bus_reply(nc, d->msg, "+ACK");
		metric_add(m_deliveries, "ok", 1);
	} else if (d->tries <= BUS_RETRIES) {
		snprintf(nak, sizeof nak, "-NAK {\"delay\": %lld}",
		    (long long)bus_retry_ms[d->tries - 1] * 1000000);
		bus_reply(nc, d->msg, nak);
		metric_add(m_deliveries, "retry", 1);
	} else {
		/* Acknowledged only once the dead letter is stored. */
		if (bus_dead_letter(nc, d) != NATS_OK)
			return -1;
		bus_reply(nc, d->msg, "+ACK");
		metric_add(m_deliveries, "dead", 1);
		metric_add(m_dead, d->sub->durable, 1);
		log_event(INS_LOG_ERROR, "bus.dead_letter",
		    json_pack("{s:s, s:s, s:I, s:s}", "subject", natsMsg_GetSubject(d->msg),
			"consumer", d->sub->durable, "tries", (json_int_t)d->tries, "error",
			d->error));
	}
	return 0;
}

/* Bus thread, with the lock, which it lets go for each. */
static void
settle_all(void)
{
	struct bus_delivery *d;
	struct list later;
	natsConnection *nc;
	int r;

	list_init(&later);
	while (!list_empty(&bus.settle)) {
		d = LIST_FIRST(&bus.settle, struct bus_delivery, link);
		list_remove(&d->link);
		if (d->not_before_us > base_mono_us()) {
			list_append(&later, &d->link);
			continue;
		}
		nc = bus.nc;
		bus_unlock();
		r = settle_one(nc, d);
		bus_lock();
		if (r != 0) {
			d->not_before_us = base_mono_us() + 1000000;
			list_append(&later, &d->link);
		} else {
			bus_sub_unref(d->sub);
			delivery_free(d);
		}
		bus_signal(); /* a reader may wait for room */
	}
	while (!list_empty(&later)) {
		d = LIST_FIRST(&later, struct bus_delivery, link);
		list_remove(&d->link);
		list_append(&bus.settle, &d->link);
	}
}

/* "+WPI" for what is outstanding, so that the broker does not deliver it a second time. */
static void
progress(void)
{
	struct list *lists[] = { &bus.outstanding, &bus.settle }, *l;
	size_t i;

	if (base_mono_us() - bus.told_us < BUS_PROGRESS_MS * INT64_C(1000))
		return;
	bus.told_us = base_mono_us();
	for (i = 0; i < NELEM(lists); i++)
		for (l = lists[i]->next; l != lists[i]; l = l->next)
			bus_reply(bus.nc, CONTAINER_OF(l, struct bus_delivery, link)->msg, "+WPI");
}

static void *
run(void *arg)
{
	natsStatus s;

	pthread_setname_np(pthread_self(), "bus");
	while ((s = connect_bus()) != NATS_OK) {
		log_msg(INS_LOG_ERROR, "bus.connect_failed", "NATS: %s", natsStatus_GetText(s));
		bus_lock();
		if (!bus.closing)
			bus_wait(5000);
		if (bus.closing) {
			bus_unlock();
			return NULL;
		}
		bus_unlock();
	}
	bus_lock();
	while (!bus.closing) {
		if (bus.connected && !bus.streams) {
			bus_unlock();
			streams(bus.nc);
			bus_lock();
			if (bus.connected && !bus.streams && !bus.closing)
				bus_wait(BUS_TICK_MS);
			continue;
		}
		settle_all();
		progress();
		free_retired();
		if (!bus.closing)
			bus_wait(BUS_TICK_MS);
	}
	settle_all();
	bus_unlock();
	return NULL;
}

void
bus_init(const char *url)
{
	sigset_t all, old;

	ASSERT(!bus.running);
	m_dead = metric_get(METRIC_COUNTER, "dlq_messages_total",
	    "Events that went to the dead letters, by consumer.", "consumer");
	m_deliveries = metric_get(
	    METRIC_COUNTER, "bus_deliveries_total", "Deliveries that ended, by result.", "result");
	list_init(&bus.outstanding);
	list_init(&bus.settle);
	bus.url = base_strdup(url);
	bus.closing = bus.connected = bus.streams = 0;
	bus.told_us = base_mono_us();
	bus.running = 1;
	/* The library's threads come of this one and inherit its mask. */
	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	AZ(pthread_create(&bus.thread, NULL, run, NULL));
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

void
bus_fini(void)
{
	natsConnection *nc;
	struct retired *retired;

	if (!bus.running)
		return;
	bus_sub_stop_all();
	bus_lock();
	bus.closing = 1;
	bus_signal();
	while (bus.publishing)
		bus_wait(BUS_TICK_MS);
	bus_unlock();
	AZ(pthread_join(bus.thread, NULL));
	bus_lock();
	bus.running = 0;
	nc = bus.nc;
	bus.nc = NULL;
	/* Those under way are nobody's list's from now on; bus_done() frees them. */
	while (!list_empty(&bus.outstanding))
		list_remove(bus.outstanding.next);
	while (!list_empty(&bus.settle)) {
		struct bus_delivery *d = LIST_FIRST(&bus.settle, struct bus_delivery, link);

		list_remove(&d->link);
		bus_sub_unref(d->sub);
		delivery_free(d);
	}
	retired = bus.retired;
	bus.retired = NULL;
	bus_unlock();
	if (nc != NULL) {
		if (natsConnection_Status(nc) == NATS_CONN_STATUS_CONNECTED)
			natsConnection_FlushTimeout(nc, 1000);
		natsConnection_Close(nc);
	}
	retired_free(retired);
	natsSubscription_Destroy(pub.sub);
	pub.sub = NULL;
	natsInbox_Destroy(pub.inbox);
	pub.inbox = NULL;
	natsConnection_Destroy(nc);
	nats_CloseAndWait(2000);
	free(bus.url);
	bus.url = NULL;
}

/* Under pub.lock. */
static natsStatus
publisher(natsConnection *nc)
{
	char subject[128];
	natsStatus s = NATS_OK;

	if (pub.sub != NULL)
		return NATS_OK;
	if (pub.inbox == NULL)
		s = natsInbox_Create(&pub.inbox);
	if (s != NATS_OK)
		return s;
	snprintf(subject, sizeof subject, "%s.*", pub.inbox);
	return natsConnection_SubscribeSync(&pub.sub, nc, subject);
}

static natsStatus
publish_one(natsConnection *nc, const struct bus_event *e, const char *reply)
{
	natsMsg *msg = NULL;
	natsStatus s = natsMsg_Create(&msg, e->subject, reply, e->data, (int)e->n);

	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_ID, e->id);
	if (s == NATS_OK)
		s = natsConnection_PublishMsg(nc, msg);
	natsMsg_Destroy(msg);
	return s;
}

/* {"stream": ..., "seq": ...}, or {"error": ...} when it was not stored. */
static int
stored(natsMsg *msg)
{
	char err[160];
	json_t *j = json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), err);
	int yes = json_object_get(j, "stream") != NULL && json_object_get(j, "error") == NULL;

	json_decref(j);
	return yes;
}

/* Until all of this turn are stored; those of an earlier one come too late for anybody. Under
 * pub.lock. */
static int
await_acks(size_t n)
{
	int64_t end = base_mono_us() + BUS_PUBLISH_MS * INT64_C(1000);
	size_t i, left = n, k = strlen(pub.inbox) + 1;
	char seen[BUS_BATCH_MAX] = { 0 }, *p;
	unsigned long long turn;
	natsMsg *msg;
	natsStatus s;
	int up;

	while (left > 0 && base_mono_us() < end) {
		s = natsSubscription_NextMsg(&msg, pub.sub, BUS_SLICE_MS);
		if (s == NATS_TIMEOUT) {
			bus_lock();
			up = bus_ready() && !bus_closing();
			bus_unlock();
			if (!up)
				return -1;
			continue;
		}
		if (s != NATS_OK)
			return -1; /* no stream takes it, or the connection has ended */
		turn = strtoull(natsMsg_GetSubject(msg) + k, &p, 10);
		i = *p == '-' ? strtoul(p + 1, NULL, 10) : n;
		if (turn == pub.turn && i < n && !seen[i]) {
			if (!stored(msg)) {
				natsMsg_Destroy(msg);
				return -1;
			}
			seen[i] = 1;
			left--;
		}
		natsMsg_Destroy(msg);
	}
	return left == 0 ? 0 : -1;
}

int
bus_publish(const struct bus_event *e, size_t n)
{
	char reply[160];
	natsConnection *nc;
	natsStatus s;
	size_t i;
	int r = -1;

	ASSERT(n <= BUS_BATCH_MAX);
	bus_lock();
	if (bus_closing() || !bus_ready()) {
		bus_unlock();
		return -1;
	}
	bus.publishing++;
	nc = bus.nc;
	bus_unlock();

	AZ(pthread_mutex_lock(&pub.lock));
	pub.turn++;
	s = publisher(nc);
	for (i = 0; i < n && s == NATS_OK; i++) {
		snprintf(
		    reply, sizeof reply, "%s.%llu-%zu", pub.inbox, (unsigned long long)pub.turn, i);
		s = publish_one(nc, &e[i], reply);
	}
	if (s == NATS_OK)
		r = await_acks(n);
	AZ(pthread_mutex_unlock(&pub.lock));

	bus_lock();
	bus.publishing--;
	bus_signal();
	bus_unlock();
	return r;
}
