/*
 * pg.h: PostgreSQL for tasks: libpq in pipeline mode, a few connections per loop, several groups in
 * flight on each.
 *
 * A group is one implicit transaction and one round trip: set_config of the tenant and user (local
 * to it), the statements, Sync. No BEGIN and COMMIT: a failure inside an explicit block would leave
 * the connection in error for the next tenant. Statements are prepared once per connection, on
 * first use. A connection logs in as data.pg.url says and takes a role with less power (insula_app,
 * insula_engine or insula_relay) by a start-up option; at connect it proves that this role has
 * neither SUPERUSER nor BYPASSRLS. A lost connection fails its groups with -INS_EUNAVAILABLE and is
 * made again with backoff (50 ms .. 2 s).
 */
#ifndef HOST_PG_H
#define HOST_PG_H

#include <insula/insula.h>

#include "loop/task.h"

enum pg_role {
	PG_APP,    /* insula_app: one tenant at a time */
	PG_ENGINE, /* insula_engine: run tables of the tenants that a batch names; ids of all
		      tenants */
	PG_RELAY,  /* insula_relay: the outbox, nothing else */
	PG_ROLES
};
#define PG_CONNS_PER_LOOP 2    /* of PG_APP; the other roles have 1 */
#define PG_GROUPS_IN_FLIGHT 64 /* per connection */
#define PG_WAITERS_MAX 4096    /* per loop: -INS_ELIMIT past it */

/* A registered text. The host registers its own with owner NULL. NULL and err when the text is
 * refused. */
struct ins_stmt *pg_stmt_new(const char *sql, char err[160]);
void pg_stmt_free(
    struct ins_stmt *); /* also forgets it on the connections (DEALLOCATE in the background) */

void pg_init(const char *url); /* control thread; before the loops start */
void pg_loop_start(struct ins_loop *);
void pg_loop_stop(struct ins_loop *);
/*
 * Runs the calls as one group on the ctx's loop and waits. tenants: the value of
 * app.current_tenant_id (one, PG_APP) or of app.tenants (PG_ENGINE: '{uuid,...}'); user may be
 * NULL. Rows live in the ctx's arena. Fails the task with a text fit for a client; SQLSTATE and the
 * server's message go to the detail.
 */
int pg_batch(struct ins_ctx *, enum pg_role, const char *tenants, const char *user,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows);
/* As pg_batch with one more local setting (name is a constant of the host): the lookup of a key by
 * its public id. */
int pg_batch_with(struct ins_ctx *, enum pg_role, const char *setting, const char *value,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows);
int pg_up(void);                /* 1 while at least one connection of every loop is ready */
int pg_ready(struct ins_ctx *); /* one round trip; 0 or -INS_EUNAVAILABLE */

size_t pg_rows_count(const struct ins_rows *);
size_t pg_rows_columns(const struct ins_rows *);
const char *pg_value(const struct ins_rows *, size_t row, size_t col, size_t *ret_n);
size_t pg_rows_affected(const struct ins_rows *);

#endif
