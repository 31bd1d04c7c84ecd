/*
 * langgraph.h: what the files of this plugin share.
 *
 * The plugin keeps nothing between requests: assistants and the store are its tables, threads and
 * runs are the run engine's, which is spoken to through ins.runs/1.
 */
#ifndef LANGGRAPH_H
#define LANGGRAPH_H

#include <insula/runs.h>

#include "langgraph_id.h"

/* The order of the descriptor's needs. */
enum { NEED_RUNS };

/* Limits of requests. */
#define LG_PAGE_DEFAULT 10
#define LG_PAGE_MAX 1000
#define LG_OFFSET_MAX 1000000
#define LG_IDS_MAX 1000u  /* of a search, or of a prune */
#define LG_BATCH_MAX 100u /* runs of POST /runs/batch */
#define LG_NAME_MAX 255u  /* bytes of a workflow's or assistant's name */
#define LG_KEY_MAX 255u   /* bytes of a key of the store */
#define LG_NODES_MAX 256u /* names in interrupt_before and interrupt_after */
#define LG_AFTER_S_MAX (30 * 86400)

/* In the metadata of a run that only edits a thread's state: it is no run to clients. */
#define LG_EDIT "insula_update"

/* The statements; langgraph_sql.c has them. */
enum lg_sql {
	S_ASSISTANT_GET,
	S_ASSISTANT_ADD,
	S_ASSISTANT_ADD_VERSION,
	S_ASSISTANT_ENSURE,
	S_ASSISTANT_PATCH,
	S_ASSISTANT_DELETE,
	S_ASSISTANT_LATEST,
	S_ASSISTANT_VERSIONS,
	S_ASSISTANT_SEARCH,
	S_ASSISTANT_COUNT,
	S_THREAD_GET,
	S_THREAD_ADD,
	S_THREAD_PATCH,
	S_THREAD_TAG,
	S_THREAD_CONFIG,
	S_THREAD_DELETE,
	S_THREAD_COPY,
	S_THREAD_COUNT,
	S_THREAD_OF_ASSISTANT,
	S_THREAD_LIVE,
	S_THREAD_RUNS_DELETE,
	S_THREAD_HEAD,
	S_THREAD_HAS_RUN,
	S_RUN_GET,
	S_RUN_LIST,
	S_RUN_LIVE,
	S_RUN_BEGAN,
	S_RUN_NEWEST,
	S_RUN_NEXT,
	S_STORE_PUT,
	S_STORE_GET,
	S_STORE_DELETE,
	S_STORE_SEARCH,
	S_STORE_NAMESPACES,
	S_COUNT,
};

/* Threads are searched in one of these orders. */
enum lg_sort {
	SORT_CREATED_AT,
	SORT_UPDATED_AT,
	SORT_STATE_UPDATED_AT,
	SORT_THREAD_ID,
	SORT_STATUS,
	SORT_COUNT
};

struct lg {
	ins_host *host;
	int64_t heartbeat_ms;
	int64_t since_us; /* when this instance began: the age of workflows' own assistants */
	char since[32];   /* the same as RFC 3339 */
	const ins_stmt *sql[S_COUNT];
	const ins_stmt *threads[SORT_COUNT][2]; /* ascending, descending */
	ins_metric *runs;                       /* by how they were begun */
	ins_metric *streams;                    /* by how they ended */
};

/* The routes of one file. */
struct lg_route {
	const char *method, *pattern, *permission;
	ins_handler handler;
};
int lg_routes(struct lg *, const struct lg_route *, size_t n);

extern const char *const lg_sql[S_COUNT];
extern const char *const lg_sql_threads[SORT_COUNT][2];

/* ---------------------------------------------------------------- langgraph_json.c */

/* Kinds of a member, or-ed; null stands for absent with every kind. */
#define LG_TEXT 1u
#define LG_INT 2u
#define LG_BOOL 4u
#define LG_OBJECT 8u
#define LG_LIST 16u
#define LG_NUMBER 32u
#define LG_ANY 64u
#define LG_NEEDED 128u

struct lg_member {
	const char *name;
	unsigned kinds;
};

/* The body as an object (an absent one is empty) whose members are these and of their kinds; a
 * member that is not known is an error. members ends with { NULL, 0 }. */
int lg_body(ins_ctx *, const struct lg_member *members, json_t **ret_body);
int lg_members(ins_ctx *, const json_t *object, const char *where, const struct lg_member *);
/* A member, NULL when it is absent or null. */
json_t *lg_get(const json_t *object, const char *name);
const char *lg_text(const json_t *object, const char *name);
/* One of these names (NULL ends them): its number; dflt when absent; negative after ins_fail. */
int lg_choice(
    ins_ctx *, const json_t *object, const char *name, const char *const *names, int dflt);
/* limit and offset of a body. */
int lg_page(ins_ctx *, const json_t *body, int64_t *ret_limit, int64_t *ret_offset);
/* The same of a query. */
int lg_query_page(ins_ctx *, int64_t *ret_limit, int64_t *ret_offset);
/* "1", "true", "yes". */
int lg_query_flag(ins_ctx *, const char *name);
/* The uuid in a part of the path; NULL after ins_fail(ENOTFOUND, "there is no KIND ..."). */
const char *lg_path_id(ins_ctx *, const char *param, const char *kind);
/* A column as JSON; null for SQL NULL. A new reference. */
json_t *lg_column_json(const ins_rows *, size_t row, size_t col);
json_t *lg_column_text(const ins_rows *, size_t row, size_t col);
/* dst's members, with those of the object src laid over them. src may be NULL. */
void lg_merge(json_t *dst, const json_t *src);
/* 0 when the list `select` names only these fields (NULL ends them); NULL is fine. */
int lg_fields_ok(ins_ctx *, const json_t *select, const char *const *fields);
/* `select` of the query, given several times; NULL when it is not. Ends with the task. */
json_t *lg_query_select(ins_ctx *);
/* Drops the members that the list `select` does not name; NULL keeps all. */
void lg_select(json_t *object, const json_t *select);
/* The headers of a page of n at offset; more = there are others behind it. */
void lg_pagination(ins_ctx *, int64_t offset, size_t n, int more);
/* 204 without a body. */
int lg_reply_nothing(ins_ctx *);

/* ---------------------------------------------------------------- assistants */

struct lg_assistant {
	char id[LG_UUID_LEN + 1];
	const char *workflow;
	json_t *config, *context, *metadata; /* objects; end with the task */
};

/* Whom a request means: a workflow's name, or an assistant's id. -INS_ENOTFOUND. */
INS_AWAITS
int lg_assistant_find(ins_ctx *, struct lg *, const char *id_or_name, struct lg_assistant *ret);
/* The workflow whose own assistant has this id; NULL when there is none. */
const char *lg_workflow_of(ins_ctx *, struct lg *, const char *id);
int lg_assistants_init(struct lg *);
int lg_graph_init(struct lg *);

/* ---------------------------------------------------------------- threads and states */

/* Makes sure that a thread is there, knows its assistant, and has its configuration merged in.
 * create: makes it if need be. ret_config: an object that ends with the task. -INS_ENOTFOUND. */
INS_AWAITS
int lg_thread_use(ins_ctx *, struct lg *, const char *thread_id, const struct lg_assistant *,
    const json_t *config, const json_t *metadata, int create, json_t **ret_config);
/* The thread's row, as columns of lg_thread_json. -INS_ENOTFOUND. */
INS_AWAITS
int lg_thread_get(ins_ctx *, struct lg *, const char *id, ins_rows **ret_rows);
json_t *lg_thread_json(const ins_rows *, size_t row);
/* Deletes the threads whose metadata says that they are this assistant's. */
INS_AWAITS
int lg_threads_delete_of(ins_ctx *, struct lg *, const char *assistant_id);
/* 0 when it is a list of uuids, not too long; NULL is one. */
int lg_ids_ok(ins_ctx *, const char *field, const json_t *ids);
int lg_threads_init(struct lg *);
int lg_threads_search_init(struct lg *);
int lg_state_init(struct lg *);
int lg_thread_stream_init(struct lg *); /* GET /threads/{id}/stream */

/* Whether a checkpoint of this run is one of the thread's: -INS_ENOTFOUND if not. */
INS_AWAITS
int lg_thread_has_run(ins_ctx *, struct lg *, const char *thread_id, const char *run_id);

/* ---------------------------------------------------------------- langgraph_shape.c */

/* A state as the engine tells it, as LangGraph's clients know it, and parts of it. New references.
 */
json_t *lg_state_json(const char *thread_id, const json_t *state);
json_t *lg_values_json(const json_t *state);
json_t *lg_tasks_json(const json_t *state);
json_t *lg_state_metadata(const char *thread_id, const json_t *state);
json_t *lg_task_id(const char *run_id, const json_t *task);
/* Of interrupts of the engine, those that wait for an answer: [{"id", "value"}]. */
json_t *lg_interrupts_of_nodes(const json_t *interrupts);
/* {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}, or null without a place. */
json_t *lg_checkpoint_json(const char *thread_id, const json_t *place);
/* [{"id", "value"}] of interrupts of the engine. */
json_t *lg_interrupts_json(const json_t *interrupts);
/* The member "checkpoint" or "checkpoint_id" of a body: 1 = there, 0 = neither. */
int lg_checkpoint_of(ins_ctx *, const json_t *body, struct lg_checkpoint *ret);

/* ---------------------------------------------------------------- runs */

/* What runs of the engine are, as columns of S_RUN_GET and S_RUN_LIST. */
json_t *lg_run_json(const ins_rows *, size_t row);
/* Finds a run of the thread; the row is rows' first. thread_id NULL = of any. -INS_ENOTFOUND. */
INS_AWAITS
int lg_run_find(
    ins_ctx *, struct lg *, const char *thread_id, const char *run_id, ins_rows **ret_rows);
int lg_runs_init(struct lg *);
int lg_run_http_init(struct lg *);

/* ---------------------------------------------------------------- streams */

/* Stream modes, or-ed. */
#define LG_MODES(X)                   \
	X(VALUES, "values")           \
	X(UPDATES, "updates")         \
	X(MESSAGES, "messages")       \
	X(TUPLES, "messages-tuple")   \
	X(EVENTS, "events")           \
	X(TASKS, "tasks")             \
	X(CHECKPOINTS, "checkpoints") \
	X(DEBUG, "debug")             \
	X(CUSTOM, "custom")
enum lg_mode_number {
#define LG_X(name, text) LG_MODE_##name##_N,
	LG_MODES(LG_X)
#undef LG_X
	    LG_MODE_N
};
enum lg_mode {
#define LG_X(name, text) LG_MODE_##name = 1 << LG_MODE_##name##_N,
	LG_MODES(LG_X)
#undef LG_X
};

/* A list, or one name; *ret 0 when absent. */
int lg_modes_of(ins_ctx *, const json_t *modes, unsigned *ret);
/* stream_mode of the query, given several times or with commas. */
int lg_modes_query(ins_ctx *, unsigned *ret);
/* "values,updates", in the task's arena. */
const char *lg_modes_text(ins_ctx *, unsigned modes);

/* A run that is streamed to a client. */
struct lg_streamed {
	const char *run_id, *thread_id; /* thread_id NULL = stateless */
	const char *workflow, *assistant_id;
	unsigned modes;
	struct lg_place from;
	int cancel_on_leave;
	int again;             /* the client was here before: no greeting */
	const char *id_prefix; /* of the ids of its events; NULL = none */
};

/* One run as server-sent events, in two steps: what may still be refused, and what is sent. The
 * first ends with the task; both return 0, or what ins_fail() says. */
struct stream;
INS_AWAITS
int lg_stream_new(ins_ctx *, struct lg *, const struct lg_streamed *, struct stream **ret);
INS_AWAITS
int lg_stream_tell(struct stream *, ins_watch *);
/* How a stream ended, for the metrics. */
void lg_stream_ended(struct lg *, int r);
/* stream_mode of a run's creator, `values` when it said none. */
int lg_modes_of_creator(ins_ctx *, const ins_rows *, size_t col, unsigned *ret);

/* Streams a watched run to its end. The answer's headers are set already. */
INS_AWAITS
int lg_stream(ins_ctx *, struct lg *, const struct lg_streamed *, ins_watch *);
/* Waits for the end of a watched run and answers with its values. */
INS_AWAITS
int lg_wait(ins_ctx *, struct lg *, const struct lg_streamed *, ins_watch *);
/* Cancels the run from a task of its own, since this one's client has left. */
void lg_cancel_later(ins_ctx *, struct lg *, const char *run_id);

int lg_store_init(struct lg *);

#endif
