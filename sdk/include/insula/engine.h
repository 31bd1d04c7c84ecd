/* engine.h: for the run engine (INS_CAP_ENGINE): statements on the run tables of several tenants at
 * once, and tasks inside a named tenant. Nothing else in the SDK crosses the wall between tenants.
 */
#ifndef INSULA_ENGINE_H
#define INSULA_ENGINE_H

#include <insula/insula.h>

/*
 * As ins_db_batch, but with the engine's role and on the rows of the named tenants only. With no
 * tenants: tables without a tenant, and the ids of all tenants.
 */
INS_AWAITS
static inline int
ins_engine_batch(ins_ctx *ctx, const char *const *tenants, size_t n_tenants, const ins_call *calls,
    size_t n, ins_rows **ret_rows)
{
	return ins_api_->engine->batch(ctx, tenants, n_tenants, calls, n, ret_rows);
}

/* A task of its own on ctx's loop, as this principal. The strings are copied. -INS_ELIMIT when the
 * loop has too many tasks. */
static inline int
ins_engine_spawn(ins_ctx *ctx, ins_host *host, const ins_principal *who, const char *name,
    ins_task_fn fn, void *arg)
{
	return ins_api_->engine->spawn(ctx, host, who, name, fn, arg);
}

/* Cancels a task that ins_engine_spawn() began on this loop and that has not returned: its next
 * await returns -INS_ECANCELED. Does not suspend. */
static inline void
ins_engine_cancel(ins_ctx *task)
{
	ins_api_->engine->cancel(task);
}

/* As ins_event, as this principal: a call to stand in an ins_engine_batch. */
static inline int
ins_engine_event(ins_ctx *ctx, const ins_principal *who, const char *event_type, const char *run_id,
    const char *workflow, const char *tier, const json_t *payload, ins_call *ret)
{
	return ins_api_->engine->event(ctx, who, event_type, run_id, workflow, tier, payload, ret);
}

/* The host's name in leases (stays the same when it restarts) and this start of it (does not). */
static inline const char *
ins_host_id(void)
{
	return ins_api_->engine->host_id();
}
static inline const char *
ins_boot_id(void)
{
	return ins_api_->engine->boot_id();
}

/*
 * The lossy relay, for "look again" and the pieces of a stream: what one publishes on a subject
 * goes to every relay that is open on it, on all loops of this host (also the caller's) and, while
 * NATS is there, of the others. Messages may be lost, and never come twice; of one publisher and
 * subject, what arrives is in order. Never depend on one: poll, or read a log, beside it.
 *
 * A subject begins with "ins.", has at most 128 bytes and no wildcards. Data: at most 256 KiB.
 */

/* Any loop; does not suspend. 0, which promises nothing, -INS_EINVAL (not a subject) or
 * -INS_ETOOBIG. */
static inline int
ins_relay_publish(ins_host *host, const char *subject, ins_str data)
{
	return ins_api_->engine->relay_publish(host, subject, data);
}

/*
 * Calls fn(arg, subject, data) on that loop for each message, beginning with the loop's next turn.
 * fn is outside of any task: it may not await; it may broadcast a condition, spawn, publish, open
 * and close relays. subject and data are borrowed for the call. Call on the loop itself; the relay
 * must be closed there, in stop() at the latest. NULL: not a subject, or too many (65,536 on a
 * host).
 */
static inline ins_relay *
ins_relay_open(ins_host *host, ins_loop *loop, const char *subject, ins_relay_fn fn, void *arg)
{
	return ins_api_->engine->relay_open(host, loop, subject, fn, arg);
}

/* fn is not called again; may be called inside fn. NULL does nothing. */
static inline void
ins_relay_close(ins_relay *relay)
{
	ins_api_->engine->relay_close(relay);
}

#endif
