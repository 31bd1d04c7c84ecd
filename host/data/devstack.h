/*
 * devstack.h: private PostgreSQL, NATS and Redis for `insula dev`.
 *
 * Data under dir (root: /var/lib/insula-dev; else $XDG_STATE_HOME/insula or ~/.local/state/insula),
 * sockets in a short private directory. As root PostgreSQL and the others run as the user
 * `postgres`/`nats`/`redis` where it exists. The servers are children of a small supervisor,
 * libexec/insula/insula-devstack (devstackd.c), which stops them when we go, a kill -9 included;
 * leftovers of a crash are found by pid file, checked to be ours, and stopped before the start. A
 * second start on the same dir is refused while the first lives. Fsync is on. Ready in 3 s when
 * warm. Blocking; control thread.
 */
#ifndef HOST_DEVSTACK_H
#define HOST_DEVSTACK_H

struct devstack;
struct devstack_conf {
	const char *dir;                    /* NULL = the default */
	int want_pg, want_nats, want_redis; /* 0 where the configuration has a URL */
};
/* NULL and err on failure: names the package to install, the log file to read. Progress lines on
 * standard error. */
struct devstack *devstack_start(const struct devstack_conf *, char err[512]);
/* NULL where it was not wanted. */
const char *devstack_pg_url(const struct devstack *);
const char *devstack_nats_url(const struct devstack *);
const char *devstack_redis_url(const struct devstack *);
const char *devstack_dir(const struct devstack *);
/* Clean: PostgreSQL checkpointed, nothing left running, socket directory gone. */
void devstack_stop(struct devstack *);

#endif
