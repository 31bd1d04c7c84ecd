/*
 * house.h: the whole of Insula beside a test: the built host as a process of its own with a
 * database, two tenants with a key each, and an upstream. For tests that look at it from outside:
 * what clients see, what the log says, how much memory and how many descriptors the process has.
 *
 * One house per test program, built in main() before libcheck forks, so that the tests share it.
 */
#ifndef TESTS_HOUSE_H
#define TESTS_HOUSE_H

#include <sys/types.h>

#include "tests/lib/client.h"
#include "tests/lib/servers.h"
#include "tests/lib/upstream_proc.h"

#define HOUSE_TENANTS 2

/*
 * plugins: the YAML under `plugins:`, two spaces deep; %U in it becomes the upstream's base URL.
 * top: YAML at the top level, or NULL. servers: SERVERS_PG | SERVERS_NATS. Ends the program when
 * something does not start: 77 (skip) when a server's package is missing, else 1, with the host's
 * log.
 */
void house_start(const char *plugins, const char *top, int servers);
void house_stop(void);
/* Ends the host's process with a signal and waits for it; starts it again with the same
 * configuration and database, perhaps on another port. */
void house_kill(int sig);
void house_again(void);
/* As house_again, for a host that may end before it serves: -1 when it did. */
int house_may_start(void);
/* 1 when the host's process has ended by itself. */
int house_ended(void);

const char *house_url(void); /* "http://127.0.0.1:PORT" */
pid_t house_pid(void);
/* A tenant's key with every permission (number 0 or 1), and its id. */
const char *house_key(int tenant);
const char *house_tenant(int tenant);
/* A key of a tenant with these permissions and no others; free(). */
char *house_key_with(int tenant, const char *permissions);
struct upstream *house_upstream(void);
/* A client of the house with a tenant's key. */
struct client *house_client(int tenant);
/* GET on the admin socket; NULL unless the answer is 200. A new reference. */
json_t *house_admin(const char *path);
/* All that the host wrote so far; free(). */
char *house_log(void);

/* Of the host's process: resident bytes, open descriptors. */
long house_rss(void);
int house_descriptors(void);

#endif
