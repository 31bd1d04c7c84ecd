/*
 * pg_impl.h: what the files of pg share. A loop's connections and groups are touched by its thread
 * alone; statements are immutable once registered; a struct pg_connect has a lock (pg_connect.c).
 */
#ifndef HOST_PG_IMPL_H
#define HOST_PG_IMPL_H

#include <libpq-fe.h>

#include "data/pg.h"

#define PG_STMT_MAGIC 0x53544d54u
#define PG_CONN_MAGIC 0x5047434eu
#define PG_GROUP_MAGIC 0x50474752u
#define PG_ROWS_MAGIC 0x50475257u

struct ins_stmt {
	uint32_t magic;
	unsigned slot; /* place in the connections' tables, used again after pg_stmt_free() */
	uint64_t id;   /* never used again; its name on the server is "s<id>" */
	char *sql;
	void (*on_commit)(void);
	int stale;
};

struct ins_rows {
	uint32_t magic;
	int stale;
	PGresult *res;
};

enum pg_group_kind {
	PG_GROUP_CALLS,   /* a task's: set_config, calls, Sync */
	PG_GROUP_PREPARE, /* ours: one Parse, Sync */
	PG_GROUP_FORGET,  /* ours: DEALLOCATE, Sync */
};

struct pg_call {
	unsigned slot;
	uint64_t id;
	const struct ins_stmt *stmt; /* for sending; may be gone once the task has left */
	int n_args;
	const char **args;
	PGresult *res;
};

/* One block with its calls and their arguments. */
struct pg_group {
	uint32_t magic;
	enum pg_group_kind kind;
	struct list link;    /* waiting, or in flight */
	struct ins_ctx *ctx; /* NULL: nobody waits; results are read and dropped */
	enum pg_role role;
	int sent;
	int64_t until_us; /* for a connection */
	size_t next;      /* the result that comes next: 0 is set_config's */
	const char *set[3];
	unsigned slot; /* of the statement: PREPARE, FORGET */
	uint64_t id;
	int code; /* INS_E* of the first failure, 0 */
	char sqlstate[6];
	char message[256];
	size_t n_calls;
	struct pg_call calls[];
};

struct pg_loop;
struct pg_connect;

struct pg_conn {
	uint32_t magic;
	struct pg_loop *pl;
	enum pg_role role;
	PGconn *pg; /* NULL: not connected */
	int ready;  /* takes groups; 0 once found broken */
	uv_poll_t *poll;
	int events;
	struct list sent;
	unsigned n_sent;    /* tasks' groups in flight */
	struct timer timer; /* reconnect, or bury a broken one */
	int backoff_ms;
	struct pg_connect *connect;
	uint64_t prepared[PG_STMTS_MAX]; /* by slot: the statement's id once Parse was sent */
	/* The last Parse that failed: what to say to the groups that were sent behind it. */
	uint64_t bad_id;
	char bad_sqlstate[6], bad_message[256];
};

struct pg_loop {
	struct ins_loop *loop;
	struct pg_conn conns[PG_ROLES][PG_CONNS_PER_LOOP];
	struct list waiting[PG_ROLES];
	unsigned n_waiting;
	struct timer timer; /* the oldest waiter's limit */
	int stopping;
};

/* pg.c */
unsigned pg_conns_of(enum pg_role);
void pg_pump(struct pg_loop *, enum pg_role); /* sends what waits */
void pg_ready_changed(struct pg_loop *);      /* counts for pg_up() */
void pg_group_end(struct pg_group *);         /* its results are all there, or it failed */
void pg_group_free(struct pg_group *);

/* pg_conn.c: loop thread */
void pg_conn_init(struct pg_conn *, struct pg_loop *, enum pg_role);
void pg_conn_open(struct pg_conn *); /* unless it is, or is about to be */
void pg_conn_opened(struct pg_conn *, PGconn *);
void pg_conn_close(struct pg_conn *);
void pg_conn_send(struct pg_conn *, struct pg_group *);

/* pg_connect.c: the connecting thread */
void pg_connect_init(const char *url);
void pg_connect_read(const char *url); /* for PG_READ */
void pg_connect_fini(void);
/* A blocking connection under this role, proved; NULL, with a log line. Between init and fini, any
 * thread but a loop's. */
PGconn *pg_connect_as(const char *role);
struct pg_connect *pg_connect_start(struct pg_conn *);
void pg_connect_abandon(struct pg_connect *);

/* pg_error.c */
int pg_error_code(const char *sqlstate);
void pg_error_set(struct pg_group *, const PGresult *);
int pg_error_report(struct ins_ctx *, const struct pg_group *);

#endif
