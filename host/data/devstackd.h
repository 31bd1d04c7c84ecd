/*
 * devstackd.h: the parts of insula-devstack, the supervisor of the private servers of `insula dev`.
 *
 * A program of its own, single-threaded, so that a kill -9 of the host still ends in a clean stop:
 * its standard input is a pipe from the host, and the end of that pipe is the order to stop.
 */
#ifndef HOST_DEVSTACKD_H
#define HOST_DEVSTACKD_H

#include <sys/types.h>

#include "base/base.h"

#define DEVSTACKD_ERR 512
#define DEVSTACKD_LOG_MAX (8 << 20)    /* a server's log is begun anew past this, at start */
#define DEVSTACKD_START_MS 60000       /* crash recovery included */
#define DEVSTACKD_STOP_MS 15000        /* then the hard way */
#define DEVSTACKD_RESTART_MS 500       /* first pause before a dead server is started again */
#define DEVSTACKD_RESTART_MAX_MS 10000 /* doubled up to this */
#define DEVSTACKD_SUN_MAX 107          /* bytes of a unix socket's path */

enum { DEVSTACKD_PG, DEVSTACKD_NATS, DEVSTACKD_REDIS, DEVSTACKD_SERVERS };

/* Who a server runs as; uid 0 is never among them. */
struct devstackd_user {
	const char *name; /* NULL: as ourselves */
	uid_t uid;
	gid_t gid;
};

struct devstackd_server {
	int id;
	const char *name;    /* postgres, nats-server, redis-server: also argv[0]'s base name */
	const char *package; /* what to install */
	int wanted;
	struct devstackd_user user;
	char *data;  /* DIR/pg, ... */
	char *socks; /* its folder below the socket directory */
	char *log;   /* DIR/log/NAME.log */
	char *pidfile;
	char *binary;
	char *url;
	int stop_signal, hard_signal;
	unsigned port;    /* nats */
	char secret[65];  /* nats: token and, for the probe, part of the server's name */
	pid_t pid;        /* 0 = not running */
	int64_t since_us; /* started */
	int64_t retry_us; /* 0, or when to start it again */
	int pause_ms;
};

struct devstackd {
	char *dir, *socks; /* absolute; socket directory */
	pid_t host;        /* who started us */
	int lock;
	struct devstackd_server servers[DEVSTACKD_SERVERS];
};

/* devstackd.c */
/* 1 once the host has gone or a signal told us to stop; waits at most ms for that or a child. */
int devstackd_wait(int ms);

/* devstackd_dir.c: directories, users, the lock, what an earlier life left behind. 0, or -1 and
 * err. */
int devstackd_dir_open(struct devstackd *, char err[DEVSTACKD_ERR]);
int devstackd_socks_make(struct devstackd *, char err[DEVSTACKD_ERR]);
void devstackd_socks_remove(struct devstackd *);
int devstackd_own(
    const char *path, mode_t mode, const struct devstackd_user *, char err[DEVSTACKD_ERR]);
int devstackd_write(
    const char *path, const char *text, const struct devstackd_user *, char err[DEVSTACKD_ERR]);
void devstackd_remove_tree(const char *path);
/* The process of a pid file when it is this server on this directory, else 0. */
pid_t devstackd_leftover(const struct devstackd *, const struct devstackd_server *);
int devstackd_leftovers_stop(struct devstackd *, char err[DEVSTACKD_ERR]);

/* devstackd_proc.c: running programs as their users. */
/* The user to run a server as: the first of the names (NULL-terminated) that exists, when we are
 * root. */
int devstackd_user(struct devstackd_user *, const char *const *names, char err[DEVSTACKD_ERR]);
char *devstackd_find(const char *program); /* in the usual folders; NULL when it is not installed */
pid_t devstackd_spawn(
    const struct devstackd_server *, const char *const *argv, char err[DEVSTACKD_ERR]);
/* Waits for the program's end; 0, or -1 and err. */
int devstackd_run(
    const struct devstackd_server *, const char *const *argv, char err[DEVSTACKD_ERR]);
int devstackd_dead(pid_t); /* gone, or a zombie that nobody reaps */

/* devstackd_server.c: the three servers. */
int devstackd_prepare(struct devstackd *, struct devstackd_server *, char err[DEVSTACKD_ERR]);
int devstackd_start(struct devstackd_server *, char err[DEVSTACKD_ERR]);
int devstackd_probe(const struct devstackd_server *); /* 1 = answers */
/* PostgreSQL's login role and database, once it answers. */
int devstackd_pg_setup(struct devstackd_server *, char err[DEVSTACKD_ERR]);

#endif
