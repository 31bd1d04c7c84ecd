/*
 * outbox.c: business events: the call that stands in the transaction which causes one, and the
 * relay that carries what has committed to JetStream.
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

#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "data/bus_impl.h"
#include "data/pg_impl.h"
#include "net/http.h"

#define RELAY_IDLE_MS 1000
#define RELAY_BACKOFF_MAX_MS 2000
#define EVENT_TYPE_MAX 128

static const char sql_insert[] =
    "INSERT INTO outbox (tenant_id, event_id, subject, envelope) VALUES ($1::uuid, $2, $3, "
    "$4::json)";
/* ARRAY(...) is evaluated once, whatever the plan; IN (SELECT ... LIMIT) need not be. */
static const char sql_take[] =
    "WITH d AS (DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT id FROM outbox ORDER BY id LIMIT "
    "$1 "
    "FOR UPDATE SKIP LOCKED)) RETURNING id, event_id, subject, envelope) "
    "SELECT event_id, subject, envelope FROM d ORDER BY id";

static struct ins_stmt *insert;
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
	char err[160];

	insert = pg_stmt_new(sql_insert, err);
	AN(insert);
	pg_stmt_on_commit(insert, wake);
	m_relayed = metric_get(METRIC_COUNTER, "outbox_relayed_total",
	    "Events that left the outbox for JetStream.", NULL);
}

/* Lower-case words with dots between: it becomes part of a subject, where * and > mean more. */
static int
type_valid(const char *z)
{
	size_t i, n = strlen(z);

	if (n == 0 || n > EVENT_TYPE_MAX || z[0] == '.' || z[n - 1] == '.')
		return 0;
	for (i = 0; i < n; i++)
		if ((z[i] == '.' && z[i + 1] == '.') ||
		    strchr("abcdefghijklmnopqrstuvwxyz0123456789_.-", z[i]) == NULL)
			return 0;
	return 1;
}

static json_t *
text_or_null(const char *p, size_t n)
{
	json_t *j = p == NULL || n == 0 ? NULL : json_stringn(p, n);

	return j == NULL ? json_null() : j; /* invalid UTF-8, too */
}

static json_t *
text_or_null_z(const char *z)
{
	return text_or_null(z, z == NULL ? 0 : strlen(z));
}

static json_t *
metadata(struct ins_ctx *ctx)
{
	ins_str agent = { NULL, 0 };
	const char *source = NULL, *ip = NULL;

	if (ctx->inst != NULL && task_plugin_name != NULL)
		source = task_plugin_name(ctx->inst);
	if (ctx->http != NULL) {
		ip = ctx->http->remote;
		if (!ctx->http->gone)
			agent = http_header(ctx->http, "user-agent");
	}
	return json_pack("{s:s, s:o, s:o, s:i, s:o}", "source", source == NULL ? "insula" : source,
	    "user_agent", text_or_null(agent.p, agent.n > 512 ? 512 : agent.n), "ip_address",
	    text_or_null_z(ip), "schema", 1, "traceparent", text_or_null_z(ctx->traceparent));
}

static void
timestamp(char out[40])
{
	int64_t us = base_now_us();
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%06dZ", (int)(us % 1000000));
}

/* What is written here is read by json_parse(), which takes no U+0000. Rarely looked at closely: an
 * escaped backslash may stand before "u0000". */
static int
readable(const char *p, size_t n)
{
	char err[160];
	json_t *j;

	if (memmem(p, n, "\\u0000", 6) == NULL)
		return 1;
	j = json_parse(p, n, err);
	json_decref(j);
	return j != NULL;
}

int
outbox_event(struct ins_ctx *ctx, const ins_principal *who, const char *event_type,
    const char *run_id, const char *workflow, const char *tier, const json_t *payload,
    ins_call *ret)
{
	const char *tenant = who != NULL ? who->tenant_id : ctx->tenant_id;
	const char *user = who != NULL ? who->user_id : ctx->user_id;
	char uuid[37], id[48], when[40];
	ins_arg *args;
	json_t *j;
	size_t n;
	char *p;

	AZ(pthread_once(&once, setup));
	if (event_type == NULL || !type_valid(event_type))
		return task_fail(ctx, INS_EINTERNAL, "an event has a malformed type");
	if (tenant == NULL || tenant[0] == '\0')
		return task_fail(ctx, INS_EINTERNAL, "an event has no tenant");
	base_uuid7(uuid);
	snprintf(id, sizeof id, "evt_%s", uuid);
	timestamp(when);
	j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "event_type",
	    event_type, "event_id", id, "timestamp", when, "tenant_id", tenant, "user_id",
	    text_or_null_z(user), "run_id", text_or_null_z(run_id), "workflow",
	    text_or_null_z(workflow), "tier", text_or_null_z(tier), "metadata", metadata(ctx),
	    "payload", payload == NULL ? json_object() : json_incref((json_t *)(uintptr_t)payload));
	n = j == NULL ? 0 : json_dumpb(j, NULL, 0, JSON_COMPACT);
	if (n == 0 || n > OUTBOX_EVENT_MAX) {
		json_decref(j);
		return n == 0 ? task_fail(ctx, INS_EINTERNAL, "an event could not be encoded")
			      : task_fail(ctx, INS_ETOOBIG, "an event has more than %u KiB",
				    OUTBOX_EVENT_MAX >> 10);
	}
	args = arena_alloc(&ctx->arena, 4 * sizeof *args);
	p = arena_alloc(&ctx->arena, n + 1);
	if (args != NULL && p != NULL) {
		json_dumpb(j, p, n, JSON_COMPACT);
		args[0] = ins_text(arena_strdup(&ctx->arena, tenant));
		args[1] = ins_text(arena_strdup(&ctx->arena, id));
		args[2] = ins_text(arena_printf(&ctx->arena, "t.%s.%s", tenant, event_type));
		args[3].p = p;
		args[3].n = n;
	}
	json_decref(j);
	if (args == NULL || p == NULL || args[0].p == NULL || args[1].p == NULL ||
	    args[2].p == NULL)
		return task_fail(ctx, INS_ENOMEM, "the task's memory is used up");
	if (!readable(p, n))
		return task_fail(ctx, INS_EINVAL, "an event's payload holds U+0000");
	ret->stmt = insert;
	ret->args = args;
	ret->n_args = 4;
	return 0;
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
