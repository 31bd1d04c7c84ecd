/* servers.c: see servers.h. */
#include "tests/lib/servers.h"

#include <ftw.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "data/devstack.h"
#include "data/migrate.h"

static struct devstack *stack;
static char dir[64];

const char *
servers_temp_dir(void)
{
	static char path[64];

	snprintf(path, sizeof path, "/tmp/insula-test-XXXXXX");
	AN(mkdtemp(path));
	return path;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	remove(path);
	return 0;
}

void
servers_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
servers_start(int which)
{
	struct devstack_conf c = { .dir = dir,
		.want_pg = which & SERVERS_PG,
		.want_nats = which & SERVERS_NATS,
		.want_redis = which & SERVERS_REDIS };
	char err[512];

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	stack = devstack_start(&c, err);
	if (stack == NULL) {
		fprintf(stderr, "%s\n", err);
		servers_remove(dir);
		exit(strstr(err, "not installed") != NULL ? 77 : 1);
	}
}

void
servers_stop(void)
{
	devstack_stop(stack);
	stack = NULL;
	servers_remove(dir);
}

const char *
servers_dir(void)
{
	return dir;
}

const char *
servers_pg_url(void)
{
	return stack == NULL ? NULL : devstack_pg_url(stack);
}

const char *
servers_nats_url(void)
{
	return stack == NULL ? NULL : devstack_nats_url(stack);
}

const char *
servers_redis_url(void)
{
	return stack == NULL ? NULL : devstack_redis_url(stack);
}

pid_t
servers_pid(const char *in, const char *name)
{
	char path[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", in,
	    strcmp(name, "postgres") == 0          ? "pg/postmaster.pid"
		: strcmp(name, "nats-server") == 0 ? "nats/nats.pid"
						   : "redis/redis.pid");
	f = fopen(path, "re");
	if (f != NULL) {
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
	}
	return pid;
}

/* Not an assertion of libcheck: those work inside tests only, these helpers outside as well. */
static void
must(int ok, const char *what, const char *why)
{
	if (ok)
		return;
	fprintf(stderr, "servers: %s: %s\n", what, why);
	exit(1);
}

static void
no_notice(void *arg, const PGresult *res)
{
}

static const char *
run(const char *user, const char *dbname, const char *sql)
{
	const char *keys[] = { "dbname", "user", "dbname", NULL };
	const char *values[] = { servers_pg_url(), user, dbname, NULL };
	static char value[65536];
	PGresult *res;
	PGconn *pg;

	/* "dbname" is a URL first and a name afterwards: only when it is not NULL. */
	if (dbname == NULL)
		keys[2] = NULL;
	pg = PQconnectdbParams(keys, values, 1);
	must(PQstatus(pg) == CONNECTION_OK, "connect", PQerrorMessage(pg));
	PQsetNoticeReceiver(pg, no_notice, NULL);
	res = PQexec(pg, sql);
	must(PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK, sql,
	    PQerrorMessage(pg));
	snprintf(value, sizeof value, "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	PQfinish(pg);
	return value;
}

const char *
servers_sql(const char *fmt, ...)
{
	const char *value;
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	ASSERT(vasprintf(&sql, fmt, ap) >= 0);
	va_end(ap);
	value = run("insula", NULL, sql);
	free(sql);
	return value;
}

const char *
servers_sql_super(const char *fmt, ...)
{
	const char *value;
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	ASSERT(vasprintf(&sql, fmt, ap) >= 0);
	va_end(ap);
	value = run("postgres", NULL, sql);
	free(sql);
	return value;
}

void
servers_until_up(void)
{
	struct timespec t = { 0, 10 * 1000 * 1000 };

	while (PQping(servers_pg_url()) != PQPING_OK)
		nanosleep(&t, NULL);
}

void
servers_fresh_database(void)
{
	struct migrate_set host = { "host", migrate_host_schema };
	char err[512];

	/* A new database would cost a checkpoint each time. */
	run("postgres", NULL,
	    "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner; "
	    "GRANT USAGE ON SCHEMA public TO PUBLIC");
	must(migrate_run(servers_pg_url(), &host, 1, 0, NULL, err) == 0, "migrate", err);
}
