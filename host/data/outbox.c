/*
 * outbox.c: carries the events that have committed (outbox_event.c makes them) to JetStream.
 *
 * The relay is a thread with a connection of its own (role insula_relay, which sees the outbox and
 * nothing else): DELETE ... RETURNING in a transaction that commits once every event of the batch
 * was acknowledged. A crash in between sends a batch again; JetStream knows the event ids. SKIP
 * LOCKED lets the relays of all hosts work side by side. Never "id > last seen": numbers of an
 * identity column commit out of order.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "base/metric.h"
#include "data/bus_impl.h"
#include "data/pg_impl.h"

#define RELAY_IDLE_MS 1000
#define RELAY_BACKOFF_MAX_MS 2000

/* ARRAY(...) is evaluated once, whatever the plan; IN (SELECT ... LIMIT) need not be. */
static const char sql_take[] =
    "WITH d AS (DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT id FROM outbox ORDER BY id LIMIT "
    "$1 "
    "FOR UPDATE SKIP LOCKED)) RETURNING id, event_id, subject, envelope) "
    "SELECT event_id, subject, envelope FROM d ORDER BY id";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct ins_metric *m_relayed;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	int running, stop, wake;
} relay = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

/* After a commit, on any loop. */
static void
wake(void)
{
	AZ(pthread_mutex_lock(&relay.lock));
	if (!relay.wake) {
		relay.wake = 1;
		AZ(pthread_cond_signal(&relay.cond));
	}
	AZ(pthread_mutex_unlock(&relay.lock));
}

static void
setup(void)
{
	pg_stmt_on_commit(outbox_insert(), wake);
	m_relayed = metric_get(METRIC_COUNTER, "outbox_relayed_total",
	    "Events that left the outbox for JetStream.", NULL);
}

/* Relay thread: one batch. Returns how many events left, -1 when the database failed, -2 when the
 * bus did. */
static int
relay_batch(PGconn *pg)
{
	struct bus_event e[OUTBOX_BATCH];
	const char *limit[1];
	char text[16];
	PGresult *res;
	int i, n, sent;

	snprintf(text, sizeof text, "%d", OUTBOX_BATCH);
	limit[0] = text;
	PQclear(PQexec(pg, "BEGIN"));
	res = PQexecParams(pg, sql_take, 1, NULL, limit, NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		log_msg(INS_LOG_WARN, "outbox.failed", "%.*s",
		    (int)strcspn(PQerrorMessage(pg), "\n"), PQerrorMessage(pg));
		PQclear(res);
		return -1;
	}
	n = PQntuples(res);
	ASSERT(n <= OUTBOX_BATCH);
	for (i = 0; i < n; i++) {
		e[i].id = PQgetvalue(res, i, 0);
		e[i].subject = PQgetvalue(res, i, 1);
		e[i].data = PQgetvalue(res, i, 2);
		e[i].n = (size_t)PQgetlength(res, i, 2);
	}
	sent = n == 0 || bus_publish(e, (size_t)n) == 0;
	PQclear(res);
	res = PQexec(pg, sent ? "COMMIT" : "ROLLBACK");
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		PQclear(res);
		return -1;
	}
	PQclear(res);
	if (!sent)
		return -2;
	if (n > 0)
		metric_add(m_relayed, NULL, n);
	return n;
}

/* Waits for a wake or ms; 1 when told to stop. */
static int
relay_wait(int ms, int only_stop)
{
	struct timespec ts;
	int stop;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	AZ(pthread_mutex_lock(&relay.lock));
	while (!relay.stop && (only_stop || !relay.wake) &&
	    pthread_cond_timedwait(&relay.cond, &relay.lock, &ts) != ETIMEDOUT)
		;
	relay.wake = 0;
	stop = relay.stop;
	AZ(pthread_mutex_unlock(&relay.lock));
	return stop;
}

static void *
relay_run(void *arg)
{
	int n, pause = 100;
	PGconn *pg = NULL;

	pthread_setname_np(pthread_self(), "outbox");
	while (!relay_wait(RELAY_IDLE_MS, 0)) {
		if (!bus_up())
			continue;
		if (pg == NULL)
			pg = pg_connect_as("insula_relay");
		do
			n = pg == NULL ? -1 : relay_batch(pg);
		while (n == OUTBOX_BATCH && !relay_wait(0, 1));
		if (n >= 0) {
			pause = 100;
			continue;
		}
		if (n == -1) {
			PQfinish(pg);
			pg = NULL;
		}
		if (relay_wait(pause, 1))
			break;
		pause = pause * 2 < RELAY_BACKOFF_MAX_MS ? pause * 2 : RELAY_BACKOFF_MAX_MS;
	}
	PQfinish(pg);
	return NULL;
}

void
outbox_start(struct ins_loop *loop)
{
	sigset_t all, old;

	AZ(pthread_once(&once, setup));
	ASSERT(!relay.running);
	relay.stop = 0;
	relay.wake = 1;
	relay.running = 1;
	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	AZ(pthread_create(&relay.thread, NULL, relay_run, NULL));
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

void
outbox_stop(struct ins_loop *loop)
{
	if (!relay.running)
		return;
	AZ(pthread_mutex_lock(&relay.lock));
	relay.stop = 1;
	AZ(pthread_cond_signal(&relay.cond));
	AZ(pthread_mutex_unlock(&relay.lock));
	AZ(pthread_join(relay.thread, NULL));
	relay.running = 0;
}
