/*
 * pg_connect.c: makes connections, one after the other, on a thread of its own (the outbox relay,
 * a thread as well, makes its own).
 *
 * libpq resolves names and may change its socket while it connects, so a blocking connect on one
 * thread is both simpler and kinder to the loops than a state machine on each; it happens at start
 * and after a failure only. A connection is handed over in pipeline mode, its role proved.
 */
#include <pthread.h>
#include <signal.h>

#include "base/log.h"
#include "data/pg_impl.h"

#define LOG_AGAIN_US (30 * INT64_C(1000000)) /* the same failure is not told more often */

struct pg_connect {
	struct pg_connect *next;
	struct pg_conn *conn; /* the loop's; not touched here */
	struct ins_loop *loop;
	enum pg_role role;
	int running, abandoned; /* under lock */
	PGconn *pg;
};

static const char *const role_names[PG_ROLES] = {
	[PG_APP] = "insula_app", [PG_ENGINE] = "insula_engine", [PG_READ] = "insula_app"
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct pg_connect *head;
static int quit, started;
static pthread_t thread;
static struct target {
	char *url, *options;
} primary, standby;

/* Everything a session needs before its first group: who it is, and the one statement that begins
 * each group. */
static const char sql_prove[] =
    "SELECT current_user, r.rolsuper, r.rolbypassrls, l.rolsuper FROM pg_roles r, pg_roles l "
    "WHERE r.rolname = current_user AND l.rolname = session_user";
static const char sql_set[] = "SELECT set_config($1, $2, true), "
			      "set_config('app.current_user_id', $3, true)";

static void
told(int level, const char *event, const char *text)
{
	static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
	static char last[256];
	static int64_t when;
	int64_t now = base_mono_us();
	int again;

	AZ(pthread_mutex_lock(&last_lock));
	again = strncmp(last, text, sizeof last - 1) == 0 && now - when < LOG_AGAIN_US;
	if (!again) {
		snprintf(last, sizeof last, "%s", text);
		when = now;
	}
	AZ(pthread_mutex_unlock(&last_lock));
	if (!again)
		log_msg(level, event, "%.*s", (int)strcspn(text, "\n"), text);
}

static void
on_notice(void *arg, const PGresult *res)
{
	log_msg(INS_LOG_DEBUG, "pg.notice", "%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}

/* 0, or -1: the role could pass row-level security, so the connection is not used. */
static int
prove(PGconn *pg, const char *role)
{
	PGresult *res = PQexec(pg, sql_prove);
	char text[256];
	int r = -1;

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
		told(INS_LOG_ERROR, "pg.connect_failed", PQerrorMessage(pg));
	} else if (strcmp(PQgetvalue(res, 0, 0), role) != 0 || PQgetvalue(res, 0, 1)[0] == 't' ||
	    PQgetvalue(res, 0, 2)[0] == 't') {
		snprintf(text, sizeof text,
		    "connections act as %s, which %s: they are not used, since tenants would not "
		    "be "
		    "kept apart",
		    PQgetvalue(res, 0, 0),
		    PQgetvalue(res, 0, 1)[0] == 't'       ? "is a superuser"
			: PQgetvalue(res, 0, 2)[0] == 't' ? "has BYPASSRLS"
							  : "is not the role that was asked for");
		told(INS_LOG_ERROR, "pg.role_refused", text);
	} else {
		if (PQgetvalue(res, 0, 3)[0] == 't')
			told(INS_LOG_WARN, "pg.login_is_superuser",
			    "data.pg.url logs in as a superuser; a plain role that owns the tables "
			    "is enough");
		r = 0;
	}
	PQclear(res);
	return r;
}

static PGconn *
connect_as(const struct target *t, const char *role)
{
	char options[1024], timeout[16], name[32], text[256];
	const char *keys[] = { "connect_timeout", "application_name", "dbname", "options",
		"client_encoding", NULL };
	const char *values[] = { timeout, name, t->url, options, "UTF8", NULL };
	PGconn *pg;

	if (!started)
		return NULL;
	snprintf(timeout, sizeof timeout, "%d", PG_CONNECT_S);
	snprintf(name, sizeof name, "insula %s", role + strlen("insula_"));
	snprintf(options, sizeof options,
	    "%s -c role=%s -c statement_timeout=%d -c timezone=UTC -c datestyle=ISO", t->options,
	    role, PG_STATEMENT_MS);
	pg = PQconnectdbParams(keys, values, 1);
	if (PQstatus(pg) != CONNECTION_OK) {
		const char *m = PQerrorMessage(pg);

		snprintf(text, sizeof text, "%.*s%s", (int)strcspn(m, "\n"), m,
		    strstr(m, role) != NULL ? " (run `insula migrate`)" : "");
		told(INS_LOG_WARN, "pg.connect_failed", text);
	} else if (prove(pg, role) == 0) {
		PQsetNoticeReceiver(pg, on_notice, NULL);
		return pg;
	}
	PQfinish(pg);
	return NULL;
}

PGconn *
pg_connect_as(const char *role)
{
	return connect_as(&primary, role);
}

static PGconn *
make(enum pg_role role)
{
	PGconn *pg = connect_as(role == PG_READ ? &standby : &primary, role_names[role]);
	PGresult *res;
	int ok;

	if (pg == NULL)
		return NULL;
	res = PQprepare(pg, "ins_set", sql_set, 3, NULL);
	ok = PQresultStatus(res) == PGRES_COMMAND_OK && PQsetnonblocking(pg, 1) == 0 &&
	    PQenterPipelineMode(pg) == 1;
	PQclear(res);
	if (ok)
		return pg;
	told(INS_LOG_WARN, "pg.connect_failed", PQerrorMessage(pg));
	PQfinish(pg);
	return NULL;
}

static void
arrived(struct ins_loop *loop, void *arg)
{
	struct pg_connect *c = arg;

	/* abandoned is set on this thread only, once the mail is on its way */
	if (c->abandoned)
		PQfinish(c->pg);
	else
		pg_conn_opened(c->conn, c->pg);
	free(c);
}

static void *
run(void *arg)
{
	struct pg_connect *c;

	pthread_setname_np(pthread_self(), "pg-connect");
	AZ(pthread_mutex_lock(&lock));
	for (;;) {
		while (head == NULL && !quit)
			AZ(pthread_cond_wait(&cond, &lock));
		if (quit)
			break;
		c = head;
		head = c->next;
		c->running = 1;
		AZ(pthread_mutex_unlock(&lock));
		c->pg = make(c->role);
		AZ(pthread_mutex_lock(&lock));
		c->running = 0;
		if (c->abandoned) {
			PQfinish(c->pg);
			free(c);
		} else {
			loop_post(c->loop, arrived, c);
		}
	}
	AZ(pthread_mutex_unlock(&lock));
	return NULL;
}

struct pg_connect *
pg_connect_start(struct pg_conn *conn)
{
	struct pg_connect *c = base_alloc(sizeof *c), **p;

	c->conn = conn;
	c->loop = conn->pl->loop;
	c->role = conn->role;
	AZ(pthread_mutex_lock(&lock));
	for (p = &head; *p != NULL; p = &(*p)->next)
		;
	*p = c;
	AZ(pthread_cond_signal(&cond));
	AZ(pthread_mutex_unlock(&lock));
	return c;
}

void
pg_connect_abandon(struct pg_connect *c)
{
	struct pg_connect **p;

	AZ(pthread_mutex_lock(&lock));
	for (p = &head; *p != NULL && *p != c; p = &(*p)->next)
		;
	if (*p == c) {
		*p = c->next;
		free(c);
	} else {
		/* Being made, or in the loop's mail: whoever has it drops it. */
		c->abandoned = 1;
	}
	AZ(pthread_mutex_unlock(&lock));
}

static void
target_set(struct target *t, const char *url)
{
	PQconninfoOption *o, *opts;
	char *err = NULL;

	t->url = base_strdup(url);
	t->options = NULL;
	opts = PQconninfoParse(url, &err);
	for (o = opts; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "options") == 0 && o->val != NULL)
			t->options = base_strdup(o->val);
	PQconninfoFree(opts);
	PQfreemem(err);
	if (t->options == NULL)
		t->options = base_strdup("");
}

static void
target_clear(struct target *t)
{
	free(t->url);
	free(t->options);
	memset(t, 0, sizeof *t);
}

void
pg_connect_read(const char *url)
{
	AZ(pthread_mutex_lock(&lock));
	target_set(&standby, url);
	AZ(pthread_mutex_unlock(&lock));
}

void
pg_connect_init(const char *url)
{
	sigset_t all, old;

	ASSERT(!started);
	target_set(&primary, url);
	quit = 0;
	started = 1;
	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	AZ(pthread_create(&thread, NULL, run, NULL));
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

void
pg_connect_fini(void)
{
	if (!started)
		return;
	AZ(pthread_mutex_lock(&lock));
	quit = 1;
	AZ(pthread_cond_signal(&cond));
	AZ(pthread_mutex_unlock(&lock));
	AZ(pthread_join(thread, NULL));
	ASSERT(head == NULL);
	target_clear(&primary);
	target_clear(&standby);
	started = 0;
}
