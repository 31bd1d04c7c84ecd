/*
 * cluster.h: several hosts of the built tree on one database, with NATS, Redis, and HAProxy before
 * them (contrib/haproxy/insula.cfg); everything on loopback, on free ports, in a directory of its
 * own.
 *
 * One cluster per test program, built in main() before libcheck forks. A missing package ends the
 * program with 77 (skip), anything else that does not start with 1 and the hosts' logs.
 */
#ifndef TESTS_CLUSTER_H
#define TESTS_CLUSTER_H

#include <sys/types.h>

#include "tests/lib/client.h"
#include "tests/lib/servers.h"

#define CLUSTER_MAX 5 /* three behind HAProxy, and two that a test may add */
#define CLUSTER_HOSTS 3

/* plugins: the YAML under `plugins:` of every host, two spaces deep. loops: of each host. */
void cluster_start(const char *plugins, int loops);
void cluster_stop(void);

const char *cluster_url(void); /* HAProxy's */
const char *cluster_host_url(unsigned i);
const char *cluster_host_id(unsigned i); /* "a", "b", "c", ... */
pid_t cluster_pid(unsigned i);           /* 0 = not running */
const char *cluster_key(void);           /* of the one tenant, with every permission */
const char *cluster_dir(void);
/* A client of HAProxy (host < 0) or of one host, with the tenant's key. */
struct client *cluster_client(int host);
char *cluster_log(unsigned i); /* free() */
/* A value of /metrics, the sum over labels; 0 when it is not there. */
double cluster_metric(unsigned i, const char *name);

/* Ends a host with a signal and waits for it. */
void cluster_kill(unsigned i, int sig);
/* A signal, and no wait: SIGSTOP, SIGCONT. */
void cluster_signal(unsigned i, int sig);
/* Begins a host that is not running, with the name `id` (NULL: its own), a profile (NULL: none) and
 * more variables in its environment ("NAME=value", ..., NULL; or NULL), and waits until it serves.
 */
void cluster_again(unsigned i, const char *id, const char *profile, const char *const env[]);

void cluster_nats_kill(void);
void cluster_nats_again(void);

/* Waits for SQL to give this value; ends the program after 60 s (INSULA_LONG: 600 s). */
void cluster_until(const char *value, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Waits until each running host has its share of the shards, and nobody else has one. */
void cluster_until_shared(void);

#endif
