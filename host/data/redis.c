/*
 * redis.c: a loop's connection to Redis and redis_command(), which tasks call.
 *
 * All state belongs to the loop. An answer is copied into its task's arena inside hiredis'
 * callback, and the task goes on in the loop's next turn, so that no task ever runs inside hiredis.
 */
#include "data/redis.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/un.h>

#include "base/log.h"
#include "data/redis_impl.h"

#define REDIS_LOOP_MAGIC 0x52444953u
#define REPLY_DEPTH_MAX 8

struct redis_loop {
	uint32_t magic;
	struct ins_loop *loop;
	redisAsyncContext *ac;
	int connected, stopping;
	int backoff_ms;
	unsigned in_flight;
	struct timer timer; /* reconnect */
};

struct op {
	struct redis_loop *rl;
	struct ins_ctx *ctx; /* NULL: nobody waits */
	struct redis_reply *ret;
	struct timer timer;
	char error[128]; /* of an error reply */
};

static int slot = -1;
static int configured;
static _Atomic int connected[LOOP_MAX];
static struct {
	char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* unix socket, or */
	char host[256];
	int port;
	char user[128], password[256], db[8]; /* "" = none */
} where;

static void start(struct timer *);

static struct redis_loop *
redis_loop_of(struct ins_loop *loop)
{
	return slot < 0 ? NULL : loop->slots[slot];
}

/* The rest of a part of a URL up to one of the characters of `end`; 0 when it does not fit. */
static int
part(char *out, size_t size, const char *p, size_t n)
{
	if (n >= size)
		return 0;
	memcpy(out, p, n);
	out[n] = '\0';
	return 1;
}

static int
parse(const char *url)
{
	const char *p, *at, *colon, *slash;

	memset(&where, 0, sizeof where);
	if (strncmp(url, "unix:", 5) == 0) {
		p = url + 5;
		if (strncmp(p, "//", 2) == 0)
			p += 2;
		return p[0] == '/' && part(where.path, sizeof where.path, p, strlen(p));
	}
	if (strncmp(url, "redis://", 8) != 0)
		return 0;
	p = url + 8;
	at = strrchr(p, '@');
	if (at != NULL) {
		colon = memchr(p, ':', (size_t)(at - p));
		if (colon == NULL || !part(where.user, sizeof where.user, p, (size_t)(colon - p)) ||
		    !part(
			where.password, sizeof where.password, colon + 1, (size_t)(at - colon - 1)))
			return 0;
		p = at + 1;
	}
	slash = p + strcspn(p, "/");
	colon = memchr(p, ':', (size_t)(slash - p));
	where.port = colon == NULL ? 6379 : atoi(colon + 1);
	if (!part(
		where.host, sizeof where.host, p, (size_t)((colon == NULL ? slash : colon) - p)) ||
	    where.host[0] == '\0' || where.port < 1 || where.port > 65535)
		return 0;
	return *slash == '\0' ||
	    (strspn(slash + 1, "0123456789") == strlen(slash + 1) &&
		part(where.db, sizeof where.db, slash + 1, strlen(slash + 1)));
}

static void
set_connected(struct redis_loop *rl, int yes)
{
	rl->connected = yes;
	atomic_store(&connected[rl->loop->index], yes);
}

int
redis_up(void)
{
	unsigned i;

	for (i = 0; i < loop_count(); i++)
		if (!atomic_load(&connected[i]))
			return 0;
	return configured;
}

/* The context is going or gone: hiredis frees it. */
static void
lost(struct redis_loop *rl, const char *why)
{
	if (rl->connected || rl->backoff_ms >= REDIS_BACKOFF_MAX_MS)
		log_msg(INS_LOG_WARN, "redis.lost", "%s", why);
	rl->ac = NULL;
	set_connected(rl, 0);
	if (rl->stopping)
		return;
	timer_start(rl->loop, &rl->timer, rl->backoff_ms, start);
	rl->backoff_ms = rl->backoff_ms * 2 < REDIS_BACKOFF_MAX_MS ? rl->backoff_ms * 2
								   : REDIS_BACKOFF_MAX_MS;
}

static void
on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis_loop *rl = ac->data;

	if (rl != NULL && rl->ac == ac)
		lost(rl, status == REDIS_OK ? "closed" : ac->errstr);
}

static void
on_connect(const redisAsyncContext *ac, int status)
{
	struct redis_loop *rl = ac->data;

	if (rl == NULL || rl->ac != ac)
		return;
	if (status != REDIS_OK) {
		lost(rl, ac->errstr[0] != '\0' ? ac->errstr : "cannot connect");
		return;
	}
	rl->backoff_ms = REDIS_BACKOFF_MS;
	set_connected(rl, 1);
}

/* AUTH and SELECT: without them the connection is no use. */
static void
on_greeting(redisAsyncContext *ac, void *reply, void *arg)
{
	struct redis_loop *rl = ac->data;
	redisReply *r = reply;

	if (r == NULL || r->type != REDIS_REPLY_ERROR || rl == NULL || rl->ac != ac)
		return;
	log_msg(INS_LOG_ERROR, "redis.refused", "%s", r->str);
	rl->backoff_ms = REDIS_BACKOFF_MAX_MS;
	redisAsyncDisconnect(ac);
}

static void
start(struct timer *t)
{
	struct redis_loop *rl = CONTAINER_OF(t, struct redis_loop, timer);
	redisAsyncContext *ac = where.path[0] != '\0' ? redisAsyncConnectUnix(where.path)
						      : redisAsyncConnect(where.host, where.port);

	ASSERT(rl->ac == NULL);
	rl->ac = ac;
	if (ac == NULL || ac->err != 0 || redis_uv_attach(ac, &rl->loop->uv) != 0) {
		lost(rl, ac == NULL ? "out of memory" : ac->errstr);
		if (ac != NULL)
			redisAsyncFree(ac);
		return;
	}
	ac->data = rl;
	redisAsyncSetConnectCallback(ac, on_connect);
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	if (where.password[0] != '\0' && where.user[0] != '\0')
		redisAsyncCommand(ac, on_greeting, NULL, "AUTH %s %s", where.user, where.password);
	else if (where.password[0] != '\0')
		redisAsyncCommand(ac, on_greeting, NULL, "AUTH %s", where.password);
	if (where.db[0] != '\0')
		redisAsyncCommand(ac, on_greeting, NULL, "SELECT %s", where.db);
}

static void
drop(struct redis_loop *rl, const char *why)
{
	redisAsyncContext *ac = rl->ac;

	if (ac == NULL)
		return;
	lost(rl, why);
	ac->data = NULL;
	redisAsyncFree(ac); /* answers every command in flight with NULL */
}

/* 0, or -1 when the arena is full or the reply too deep. */
static int
copy(struct ins_ctx *ctx, struct redis_reply *out, const redisReply *in, int depth)
{
	size_t i;

	switch (in->type) {
	case REDIS_REPLY_INTEGER:
		out->type = REDIS_INTEGER;
		out->integer = in->integer;
		return 0;
	case REDIS_REPLY_NIL: out->type = REDIS_NIL; return 0;
	case REDIS_REPLY_ARRAY:
		out->type = REDIS_ARRAY;
		out->n_elements = in->elements;
		out->elements = arena_alloc(&ctx->arena, (in->elements + 1) * sizeof *out);
		if (out->elements == NULL || depth == REPLY_DEPTH_MAX)
			return -1;
		for (i = 0; i < in->elements; i++)
			if (copy(ctx, &out->elements[i], in->element[i], depth + 1) != 0)
				return -1;
		return 0;
	default:
		out->type = REDIS_STRING;
		out->n = (size_t)in->len;
		out->p = arena_strndup(&ctx->arena, in->str, (size_t)in->len);
		return out->p == NULL ? -1 : 0;
	}
}

static void
on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
	struct op *op = arg;
	const redisReply *r = reply;
	struct ins_ctx *ctx = op->ctx;
	int result = 0;

	timer_stop(op->rl->loop, &op->timer);
	op->rl->in_flight--;
	if (ctx == NULL) {
		free(op);
		return;
	}
	if (r == NULL) {
		result = -INS_EUNAVAILABLE;
	} else if (r->type == REDIS_REPLY_ERROR) {
		snprintf(op->error, sizeof op->error, "%s", r->str);
		result = -INS_EINTERNAL;
	} else if (copy(ctx, op->ret, r, 0) != 0) {
		result = -INS_ENOMEM;
	}
	op->rl = NULL; /* answered: the task frees it */
	task_wake_later(ctx, result);
}

static void
too_late(struct timer *t)
{
	struct op *op = CONTAINER_OF(t, struct op, timer);

	drop(op->rl, "no answer in time");
}

static void
leave(struct ins_ctx *ctx, void *arg)
{
	struct op *op = arg;

	op->ctx = NULL;
	if (op->rl == NULL)
		free(op);
}

int
redis_command(struct ins_ctx *ctx, struct redis_reply *ret, int argc, const char *const *argv,
    const size_t *lens)
{
	struct redis_loop *rl = redis_loop_of(ctx->loop);
	struct op *op;
	int r;

	memset(ret, 0, sizeof *ret);
	if (ctx->canceled)
		return -INS_ECANCELED;
	if (rl == NULL || !rl->connected)
		return task_fail(ctx, INS_EUNAVAILABLE, "Redis is not reachable");
	if (rl->in_flight >= REDIS_IN_FLIGHT)
		return task_fail(ctx, INS_ELIMIT, "too many commands wait for Redis");
	op = base_alloc(sizeof *op);
	op->rl = rl;
	op->ctx = ctx;
	op->ret = ret;
	if (redisAsyncCommandArgv(
		rl->ac, on_reply, op, argc, (const char **)(uintptr_t)argv, lens) != REDIS_OK) {
		free(op);
		return task_fail(ctx, INS_EUNAVAILABLE, "Redis is not reachable");
	}
	rl->in_flight++;
	timer_start(rl->loop, &op->timer, REDIS_COMMAND_MS, too_late);
	r = task_park(ctx, leave, op);
	if (r == -INS_ECANCELED)
		return r;
	if (r == -INS_EINTERNAL && ctx->err_detail == NULL && ctx->err_code == 0)
		ctx->err_detail = arena_strdup(&ctx->arena, op->error);
	free(op);
	return r == 0                ? 0
	    : r == -INS_EUNAVAILABLE ? task_fail(ctx, INS_EUNAVAILABLE, "Redis is not reachable")
				     : task_fail(ctx, -r, "Redis refused a command");
}

int
redis_ready(struct ins_ctx *ctx)
{
	const char *argv[] = { "PING" };
	int r, had = ctx->err_code;
	struct redis_reply reply;

	r = redis_command(ctx, &reply, 1, argv, NULL);
	if (had == 0)
		task_clear_error(ctx);
	return r == 0 || r == -INS_ECANCELED ? r : -INS_EUNAVAILABLE;
}

int
redis_init(const char *url, char err[160])
{
	if (!parse(url)) {
		snprintf(err, 160, "%s",
		    strncmp(url, "rediss:", 7) == 0
			? "TLS to Redis is not built in: use a unix socket, loopback or a tunnel"
			: "not redis://[[user]:password@]host[:port][/db] or unix:/PATH");
		return -1;
	}
	if (slot < 0)
		slot = loop_slot_new();
	configured = 1;
	return 0;
}

void
redis_fini(void)
{
	memset(&where, 0, sizeof where);
	configured = 0;
}

void
redis_loop_start(struct ins_loop *loop)
{
	struct redis_loop *rl;

	if (!configured)
		return;
	rl = base_alloc(sizeof *rl);
	rl->magic = REDIS_LOOP_MAGIC;
	rl->loop = loop;
	rl->backoff_ms = REDIS_BACKOFF_MS;
	loop->slots[slot] = rl;
	start(&rl->timer);
}

void
redis_loop_stop(struct ins_loop *loop)
{
	struct redis_loop *rl = redis_loop_of(loop);

	if (rl == NULL)
		return;
	CHECK_OBJ(rl, REDIS_LOOP_MAGIC);
	rl->stopping = 1;
	drop(rl, "the host stops");
	timer_stop(loop, &rl->timer);
	loop->slots[slot] = NULL;
	free(rl);
}
