/*
 * servers.h: real servers for an integration test, through devstack, on a directory of their own.
 *
 * One start per test program, in main() before libcheck forks, so that the tests share it; the
 * directory goes at the end. Failing to start ends the program with 77 (skip) when a package is
 * missing, else with 1.
 */
#ifndef TESTS_SERVERS_H
#define TESTS_SERVERS_H

#include <sys/types.h>

enum { SERVERS_PG = 1, SERVERS_NATS = 2, SERVERS_REDIS = 4 };

void servers_start(int which);
void servers_stop(void);
const char *servers_dir(void);
/* NULL before servers_start() and where the server was not wanted. */
const char *servers_pg_url(void);
const char *servers_nats_url(void);
const char *servers_redis_url(void);
/* The process of a server ("postgres", "nats-server", "redis-server"), 0 when there is none. */
pid_t servers_pid(const char *dir, const char *name);
/* Runs SQL as the login role (asserts that it works); the first value of the last row set, "" when
 * none; static. */
const char *servers_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same as the cluster's superuser. */
const char *servers_sql_super(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Waits until PostgreSQL answers. */
void servers_until_up(void);
/* Empties the database of the URL, then applies the host's migrations. */
void servers_fresh_database(void);
/* mkdtemp in a place that every user can enter; static. */
const char *servers_temp_dir(void);
void servers_remove(const char *dir);

#endif
