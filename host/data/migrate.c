/*
 * migrate.c: applies migrations in order, each in its own transaction together with the row that
 * remembers it.
 *
 * What was applied has to be a prefix of what the program knows, text for text: then a database is
 * one of a few known states, never a mixture. There is no way down: a mistake is mended by the next
 * migration.
 */
#include "data/migrate.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <openssl/sha.h>

#include "base/base.h"

#define MIGRATE_ERR 512

static const char sql_table[] =
    "CREATE TABLE IF NOT EXISTS insula_migrations ("
    "area text NOT NULL, name text NOT NULL, sha256 text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (area, name))";
/* Held to the end of the session. The number is "insula" in ASCII. */
static const char sql_lock[] = "SELECT pg_advisory_lock(115926501844065)";
static const char sql_exists[] = "SELECT to_regclass('insula_migrations') IS NOT NULL";
static const char sql_applied[] =
    "SELECT name, sha256 FROM insula_migrations WHERE area = $1 ORDER BY name COLLATE \"C\"";
static const char sql_insert[] =
    "INSERT INTO insula_migrations (area, name, sha256) VALUES ($1, $2, $3)";

/* One line of PostgreSQL's message. */
static int
fail_pg(PGconn *pg, const char *what, char err[MIGRATE_ERR])
{
	const char *m = PQerrorMessage(pg);
	int n = (int)strcspn(m, "\n");

	snprintf(err, MIGRATE_ERR, "%s: %.*s", what, n, m);
	return -1;
}

static int
exec(PGconn *pg, const char *sql, const char *what, char err[MIGRATE_ERR])
{
	PGresult *res = PQexec(pg, sql);
	ExecStatusType st = PQresultStatus(res);

	PQclear(res);
	return st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK ? 0 : fail_pg(pg, what, err);
}

static PGconn *
open_db(const char *url, char err[MIGRATE_ERR])
{
	PGconn *pg = PQconnectdb(url);

	if (PQstatus(pg) != CONNECTION_OK) {
		fail_pg(pg, "PostgreSQL does not answer", err);
		PQfinish(pg);
		return NULL;
	}
	/* NOTICEs of IF NOT EXISTS are nobody's business. */
	if (exec(pg, "SET client_min_messages = warning", "PostgreSQL", err) != 0) {
		PQfinish(pg);
		return NULL;
	}
	return pg;
}

static void
checksum(const char *text, char out[65])
{
	unsigned char md[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, strlen(text), md);
	base_hex(out, md, sizeof md);
}

/* 0001_, 0002_, ...: a gap or a repetition is a mistake of the author. */
static int
check_names(const struct migrate_set *set, char err[MIGRATE_ERR])
{
	char want[16];
	int i;

	for (i = 0; set->schema[2 * i] != NULL; i++) {
		const char *name = set->schema[2 * i], *c;

		snprintf(want, sizeof want, "%04d_", i + 1);
		for (c = name;
		     islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_'; c++)
			;
		if (strncmp(name, want, 5) != 0 || name[5] == '\0' || *c != '\0' || c - name > 64) {
			snprintf(err, MIGRATE_ERR,
			    "%s: migration %d is named \"%.64s\", not %sNAME (a-z, 0-9, _)",
			    set->area, i + 1, name, want);
			return -1;
		}
		if (set->schema[2 * i + 1] == NULL) {
			snprintf(err, MIGRATE_ERR, "%s: %s has no text", set->area, name);
			return -1;
		}
	}
	return 0;
}

/* The number of applied migrations of the area, or -1. */
static int
applied(PGconn *pg, const struct migrate_set *set, char err[MIGRATE_ERR])
{
	const char *args[] = { set->area };
	PGresult *res = PQexecParams(pg, sql_applied, 1, NULL, args, NULL, NULL, 0);
	char sum[65];
	int i, n;

	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		PQclear(res);
		return fail_pg(pg, "insula_migrations", err);
	}
	n = PQntuples(res);
	for (i = 0; i < n; i++) {
		const char *name = PQgetvalue(res, i, 0), *known = set->schema[2 * i];

		if (known == NULL) {
			snprintf(err, MIGRATE_ERR,
			    "%s: the database has %s, which this program does not know: it is "
			    "older "
			    "than the database",
			    set->area, name);
			n = -1;
		} else if (strcmp(name, known) != 0) {
			snprintf(err, MIGRATE_ERR,
			    "%s: the database has %s where this program has %s: a migration was "
			    "renamed or left out",
			    set->area, name, known);
			n = -1;
		} else {
			checksum(set->schema[2 * i + 1], sum);
			if (strcmp(sum, PQgetvalue(res, i, 1)) != 0) {
				snprintf(err, MIGRATE_ERR,
				    "%s: %s was changed after it had been applied: restore its "
				    "text "
				    "and add a new migration",
				    set->area, name);
				n = -1;
			}
		}
	}
	PQclear(res);
	return n;
}

static int
apply(PGconn *pg, const char *area, const char *name, const char *text, char err[MIGRATE_ERR])
{
	char sum[65], what[192];
	const char *args[] = { area, name, sum };
	PGresult *res;
	int r;

	checksum(text, sum);
	snprintf(what, sizeof what, "%.64s: %.64s", area, name);
	r = exec(pg, "BEGIN", what, err);
	if (r == 0)
		r = exec(pg, text, what, err);
	if (r == 0 && PQtransactionStatus(pg) != PQTRANS_INTRANS) {
		snprintf(
		    err, MIGRATE_ERR, "%s: ends its transaction itself, which it must not", what);
		r = -1;
	}
	if (r == 0) {
		res = PQexecParams(pg, sql_insert, 3, NULL, args, NULL, NULL, 0);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			r = fail_pg(pg, what, err);
		PQclear(res);
	}
	if (r == 0)
		r = exec(pg, "COMMIT", what, err);
	if (r != 0 && PQtransactionStatus(pg) != PQTRANS_IDLE)
		PQclear(PQexec(pg, "ROLLBACK"));
	return r;
}

/* 1, 0 or -1: is the table of migrations there? */
static int
has_table(PGconn *pg, char err[MIGRATE_ERR])
{
	PGresult *res = PQexec(pg, sql_exists);
	int r = PQresultStatus(res) == PGRES_TUPLES_OK ? PQgetvalue(res, 0, 0)[0] == 't' : -1;

	PQclear(res);
	return r >= 0 ? r : fail_pg(pg, "insula_migrations", err);
}

static int
run_set(PGconn *pg, const struct migrate_set *set, int known, int dry, FILE *progress,
    char err[MIGRATE_ERR])
{
	const char *name;
	int i = 0;

	if (known && (i = applied(pg, set, err)) < 0)
		return -1;
	for (; (name = set->schema[2 * i]) != NULL; i++) {
		if (!dry && apply(pg, set->area, name, set->schema[2 * i + 1], err) != 0)
			return -1;
		if (progress != NULL)
			fprintf(
			    progress, "%s %s: %s\n", dry ? "to apply" : "applied", set->area, name);
	}
	return 0;
}

int
migrate_run(const char *url, const struct migrate_set *sets, size_t n, int dry, FILE *progress,
    char err[MIGRATE_ERR])
{
	PGconn *pg;
	size_t i;
	int r = 0, known = 1;

	for (i = 0; i < n; i++)
		if (sets[i].schema != NULL && check_names(&sets[i], err) != 0)
			return -1;
	pg = open_db(url, err);
	if (pg == NULL)
		return -1;
	if (dry)
		r = known = has_table(pg, err);
	else {
		r = exec(pg, sql_lock, "waiting for another migration", err);
		if (r == 0)
			r = exec(pg, sql_table, "insula_migrations", err);
	}
	for (i = 0; i < n && r >= 0; i++)
		if (sets[i].schema != NULL)
			r = run_set(pg, &sets[i], known, dry, progress, err);
	PQfinish(pg);
	return r < 0 ? -1 : 0;
}

int
migrate_check(const char *url, const struct migrate_set *sets, size_t n, char err[MIGRATE_ERR])
{
	PGconn *pg = open_db(url, err);
	int known, done, r = 0;
	size_t i;

	if (pg == NULL)
		return -1;
	known = has_table(pg, err);
	if (known < 0)
		r = -1;
	for (i = 0; i < n && r == 0; i++) {
		if (sets[i].schema == NULL)
			continue;
		done = 0;
		if (check_names(&sets[i], err) != 0 ||
		    (known && (done = applied(pg, &sets[i], err)) < 0))
			r = -1;
		else if (sets[i].schema[2 * done] != NULL) {
			snprintf(err, MIGRATE_ERR,
			    "%s: %s is not applied: run `insula migrate` with this configuration",
			    sets[i].area, sets[i].schema[2 * done]);
			r = 1;
		}
	}
	PQfinish(pg);
	return r;
}
