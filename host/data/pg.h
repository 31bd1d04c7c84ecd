/*
 * pg.h: PostgreSQL for tasks: libpq in pipeline mode, a few connections per loop, several groups in
 * flight on each.
 *
 * A group is one implicit transaction and one round trip: set_config of the tenant and user (local
 * to it), the statements, Sync. No BEGIN and COMMIT: a failure inside an explicit block would leave
 * the connection in error for the next tenant. Statements are prepared once per connection, on
 * first use. A connection logs in as data.pg.url says and takes a role with less power (insula_app
 * or insula_engine) by a start-up option; at connect it proves that this role has neither SUPERUSER
 * nor BYPASSRLS. A lost connection fails its groups with -INS_EUNAVAILABLE and is made again with
 * backoff (50 ms .. 2 s). Groups wait up to PG_WAIT_MS for a connection.
 */
#ifndef HOST_PG_H
#define HOST_PG_H

#include <insula/insula.h>

#include "loop/task.h"

enum pg_role {
	PG_APP,    /* insula_app: one tenant at a time */
	PG_ENGINE, /* insula_engine: run tables of the tenants that a batch names; ids of all
		      tenants; connects at its first use */
	PG_READ,   /* insula_app on the standby; only pg_batch() itself goes there */
	PG_ROLES
};
#define PG_CONNS_PER_LOOP 2            /* of PG_APP; the others have 1 */
#define PG_GROUPS_IN_FLIGHT 64         /* per connection */
#define PG_WAITERS_MAX 4096            /* per loop: -INS_ELIMIT past it */
#define PG_WAIT_MS 2000                /* for a connection: -INS_EUNAVAILABLE past it */
#define PG_STMTS_MAX 1024              /* registered at a time */
#define PG_TEXT_MAX (64u << 10)        /* bytes of a statement's text */
#define PG_CALLS_MAX 1024              /* of one group */
#define PG_ARGS_MAX 1024               /* of one call */
#define PG_GROUP_BYTES_MAX (32u << 20) /* arguments of one group: -INS_ETOOBIG past it */
#define PG_STATEMENT_MS 30000          /* statement_timeout: -INS_ETIMEOUT */
#define PG_CONNECT_S 3                 /* connect_timeout, unless the URL says another */
#define PG_BACKOFF_MS 50
#define PG_BACKOFF_MAX_MS 2000

/* A registered text. Control thread. NULL and err when the text is refused (pg_text_check) or there
 * are too many. The host registers its own in the same way. */
struct ins_stmt *pg_stmt_new(const char *sql, char err[160]);
/* No group that names it may be waiting. The connections forget it when its place is used again. */
void pg_stmt_free(struct ins_stmt *);
/* What it reads may be a little old: a group of such statements goes to the standby, when there is
 * one, and to the primary when that fails or is away. */
void pg_stmt_stale(struct ins_stmt *);
/* fn is called on the loop after each group with this statement that committed. */
void pg_stmt_on_commit(struct ins_stmt *, void (*fn)(void));
/* 0, or -1 and err: one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or WITH, and nothing that
 * could change who the group acts for. */
int pg_text_check(const char *sql, char err[160]);

/* Control thread; before the loops start. url NULL: no database, every group fails. */
void pg_init(const char *url);
/* After pg_init(), before the loops start: where the statements of pg_stmt_stale() go. */
void pg_read_from(const char *url);
void pg_fini(void); /* after the loops have stopped */
void pg_loop_start(struct ins_loop *);
void pg_loop_stop(struct ins_loop *);
/*
 * Runs the calls as one group on the ctx's loop and waits. tenants: the value of
 * app.current_tenant_id (one, PG_APP) or of app.tenants (PG_ENGINE: '{uuid,...}'); user may be
 * NULL. Rows live in the ctx's arena; ret_rows may be NULL. Fails the task with a text fit for a
 * client; SQLSTATE and the server's message go to the detail. Codes: see ins_db_batch(); also
 * -INS_EINVAL for an argument with a NUL byte, -INS_ETIMEOUT. After -INS_EUNAVAILABLE and
 * -INS_ECANCELED it is not known whether the group committed, unless it never got a connection.
 */
int pg_batch(struct ins_ctx *, enum pg_role, const char *tenants, const char *user,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows);
/* As pg_batch with this local setting instead of the tenant's (name is a constant of the host): the
 * lookup of a key by its public id. */
int pg_batch_with(struct ins_ctx *, enum pg_role, const char *setting, const char *value,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows);
int pg_up(void); /* 1 while at least one PG_APP connection of every loop is ready */
/* One round trip; 0, -INS_EUNAVAILABLE, -INS_ECANCELED. The task does not fail by it. */
int pg_ready(struct ins_ctx *);

size_t pg_rows_count(const struct ins_rows *);
size_t pg_rows_columns(const struct ins_rows *);
const char *pg_value(const struct ins_rows *, size_t row, size_t col, size_t *ret_n);
size_t pg_rows_affected(const struct ins_rows *);
int pg_rows_stale(const struct ins_rows *); /* 1: from the standby */
/* Frees what it holds before the task's end; no rows are left in it. */
void pg_rows_end(struct ins_rows *);

#endif
