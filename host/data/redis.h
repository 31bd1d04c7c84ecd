/*
 * redis.h: Redis for tasks: one connection per loop, commands in flight side by side.
 *
 * For what may be lost, and nothing else. Redis away: every command fails at once with
 * -INS_EUNAVAILABLE, and the caller has its own answer to that; the connection is made again with
 * backoff. Keys are the caller's matter: whatever belongs to a tenant begins with tenant/plugin/.
 */
#ifndef HOST_REDIS_H
#define HOST_REDIS_H

#include <insula/insula.h>

#include "loop/task.h"

#define REDIS_COMMAND_MS 1000 /* for an answer; then the connection is given up */
#define REDIS_IN_FLIGHT 1024  /* per loop: -INS_ELIMIT past it */
#define REDIS_BACKOFF_MS 50
#define REDIS_BACKOFF_MAX_MS 2000

enum redis_type {
	REDIS_NIL,
	REDIS_STRING, /* or a status: "OK" */
	REDIS_INTEGER,
	REDIS_ARRAY
};
/* In the ctx's arena. */
struct redis_reply {
	enum redis_type type;
	int64_t integer;
	const char *p; /* REDIS_STRING: NUL-terminated after n bytes */
	size_t n;
	struct redis_reply *elements;
	size_t n_elements;
};

/* url: redis://[[user]:password@]host[:port][/db] or unix:PATH, unix://PATH; 0, or -1 and err.
 * Control thread, before the loops start. A host's name is resolved on the loop, when it connects:
 * an address is better. */
int redis_init(const char *url, char err[160]);
void redis_fini(void);
void redis_loop_start(struct ins_loop *);
void redis_loop_stop(struct ins_loop *);
/*
 * Sends argv and waits. lens may be NULL: the arguments are NUL-terminated. 0; -INS_EUNAVAILABLE;
 * -INS_EINTERNAL for an error reply, whose text is the detail; -INS_ELIMIT, -INS_ENOMEM,
 * -INS_ECANCELED. After -INS_EUNAVAILABLE and -INS_ECANCELED the command may have run. The task
 * fails by it; forget that with task_clear_error() where Redis is a matter of speed only.
 */
int redis_command(struct ins_ctx *, struct redis_reply *ret, int argc, const char *const *argv,
    const size_t *lens);
int redis_up(void);                /* 1 while every loop is connected */
int redis_ready(struct ins_ctx *); /* PING: 0, -INS_EUNAVAILABLE, -INS_ECANCELED */

#endif
