/*
 * langgraph_sql.c: every statement of the plugin. Row-level security adds the tenant to each; what
 * is not the tenant's is not there. Times leave as RFC 3339.
 */
#include "langgraph.h"

#define TIME(c) "to_char(" c " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

/* The columns that assistant_json (langgraph_assistants.c) expects. */
#define ASSISTANT                                                                             \
	"a.assistant_id, a.graph_id, a.version, a.name, a.description, a.config, a.context, " \
	"a.metadata, " TIME("a.created_at") ", " TIME("a.updated_at")

/*
 * The tenant's assistants, and the workflows that have no row: $1 ids and $2 names of workflows, as
 * JSON lists of the same length, $3 when this host began to serve them (microseconds since 1970).
 */
#define ASSISTANTS                                                                                 \
	"(SELECT assistant_id, graph_id, version, name, description, config, context, metadata, "  \
	"created_at, updated_at FROM assistants UNION ALL "                                        \
	"SELECT w.id::uuid, w.name, 1, w.name, NULL, '{}', '{}', '{\"created_by\": \"system\"}', " \
	"to_timestamp($3::bigint / 1000000.0), to_timestamp($3::bigint / 1000000.0) "              \
	"FROM ROWS FROM (jsonb_array_elements_text($1::jsonb), "                                   \
	"jsonb_array_elements_text($2::jsonb)) AS w (id, name) "                                   \
	"WHERE NOT EXISTS (SELECT 1 FROM assistants b WHERE b.assistant_id = w.id::uuid)) AS a "

/* $4 graph_id, $5 a part of the name, $6 metadata; NULL = any */
#define ASSISTANTS_WHERE                                                  \
	"WHERE ($4::text IS NULL OR a.graph_id = $4) "                    \
	"AND ($5::text IS NULL OR strpos(lower(a.name), lower($5)) > 0) " \
	"AND ($6::jsonb IS NULL OR a.metadata @> $6) "

#define BUSY                                                                             \
	"(SELECT 1 FROM agent_runs r WHERE r.tenant_id = t.tenant_id AND r.thread_id = " \
	"t.thread_id AND r.status IN ('pending', 'running'))"
#define STATUS "CASE WHEN EXISTS " BUSY " THEN 'busy' ELSE t.status END"

/* The columns that thread_json (langgraph_threads.c) expects. */
#define THREAD                                                                                   \
	"t.thread_id, " STATUS ", t.metadata, t.config, t.values, t.interrupts, t.error, " TIME( \
	    "t.created_at") ", " TIME("t.updated_at") ", " TIME("t.state_updated_at") ", "       \
										      "t.head_run"

/* $1 metadata, $2 values, $3 ids as a JSON list, $4 status; NULL = any */
#define THREADS_WHERE                                                    \
	" FROM threads t WHERE ($1::jsonb IS NULL OR t.metadata @> $1) " \
	"AND ($2::jsonb IS NULL OR t.values::jsonb @> $2) "              \
	"AND ($3::jsonb IS NULL OR t.thread_id IN "                      \
	"(SELECT i::uuid FROM jsonb_array_elements_text($3) AS i)) "     \
	"AND ($4::text IS NULL OR " STATUS " = $4) "
#define THREADS(order)                                                                            \
	"SELECT " THREAD THREADS_WHERE "ORDER BY " order ", t.thread_id LIMIT $5::bigint OFFSET " \
	"$6::bigint"

/* The columns that lg_run_json expects. */
#define RUN                                                                                        \
	"r.run_id, r.thread_id, r.assistant_id, r.status, r.metadata, r.multitask, " TIME(         \
	    "r.created_at") ", " TIME("coalesce(r.ended_at, r.created_at)") ", r.workflow, "       \
									    "CASE WHEN r.status "  \
									    "= 'failed' THEN "     \
									    "(SELECT "             \
									    "e.data->'error'->>'"  \
									    "code' FROM "          \
									    "run_events e "        \
									    "WHERE e.run_id = "    \
									    "r.run_id AND e.seq "  \
									    "= r.next_seq - 1) "   \
									    "END, "                \
									    "r.request->'options'" \
									    "->'stream_mode' "     \
									    "FROM agent_runs r "
/* A run without a thread is found under its own id as if that were its thread. Runs that only edit
 * a thread's state are no runs to the clients of this API. */
#define RUN_OF_THREAD "(r.thread_id = $1::uuid OR (r.thread_id IS NULL AND r.run_id = $1::uuid)) "
#define NO_UPDATE "NOT r.metadata ? '" LG_EDIT "' "

/* The time of a run's first event. */
#define BEGAN "(extract(epoch FROM e.ts) * 1000000)::bigint"

/* Displaced before it began, and nobody heard of that yet: not to be deleted without a word. */
#define UNTOLD "(r.next_seq = 0 AND r.ended_at IS NOT NULL AND r.wake_at IS NOT NULL)"
/* A copy of the thread may stand at one of its runs: that one stays. */
#define NO_COPY                                                                               \
	"NOT EXISTS (SELECT 1 FROM threads o WHERE o.head_run = r.run_id AND o.thread_id <> " \
	"$1::uuid) "

const char *const lg_sql[S_COUNT] = {
	[S_ASSISTANT_GET] = "SELECT " ASSISTANT
			    " FROM assistants a WHERE a.assistant_id = $1::uuid",
	/* nothing when there is one */
	[S_ASSISTANT_ADD] =
	    "INSERT INTO assistants AS a (assistant_id, graph_id, name, description, config, "
	    "context, metadata) VALUES ($1::uuid, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb) "
	    "ON CONFLICT (tenant_id, assistant_id) DO NOTHING RETURNING " ASSISTANT,
	/* the version that the assistant has now, unless it is kept already */
	[S_ASSISTANT_ADD_VERSION] =
	    "INSERT INTO assistant_versions (assistant_id, version, graph_id, name, description, "
	    "config, context, metadata) SELECT assistant_id, version, graph_id, name, description, "
	    "config, context, metadata FROM assistants WHERE assistant_id = $1::uuid "
	    "ON CONFLICT DO NOTHING",
	/* a workflow's own, before it is changed */
	[S_ASSISTANT_ENSURE] =
	    "INSERT INTO assistants (assistant_id, graph_id, name, metadata) VALUES ($1::uuid, $2, "
	    "$2, '{\"created_by\": \"system\"}') ON CONFLICT (tenant_id, assistant_id) DO NOTHING",
	[S_ASSISTANT_PATCH] =
	    "UPDATE assistants a SET graph_id = coalesce($2, a.graph_id), "
	    "name = coalesce($3, a.name), description = coalesce($4, a.description), "
	    "config = coalesce($5::jsonb, a.config), context = coalesce($6::jsonb, a.context), "
	    "metadata = a.metadata || coalesce($7::jsonb, '{}'), updated_at = now(), "
	    "version = 1 + (SELECT max(v.version) FROM assistant_versions v "
	    "WHERE v.assistant_id = a.assistant_id) "
	    "WHERE a.assistant_id = $1::uuid RETURNING " ASSISTANT,
	[S_ASSISTANT_DELETE] = "DELETE FROM assistants WHERE assistant_id = $1::uuid",
	[S_ASSISTANT_LATEST] =
	    "UPDATE assistants a SET version = v.version, graph_id = v.graph_id, name = v.name, "
	    "description = v.description, config = v.config, context = v.context, "
	    "metadata = v.metadata, updated_at = now() FROM assistant_versions v "
	    "WHERE a.assistant_id = $1::uuid AND v.assistant_id = a.assistant_id "
	    "AND v.version = $2::integer RETURNING " ASSISTANT,
	[S_ASSISTANT_VERSIONS] =
	    "SELECT a.assistant_id, a.graph_id, a.version, a.name, a.description, a.config, "
	    "a.context, a.metadata, " TIME(
		"a.created_at") ", NULL FROM assistant_versions a "
				"WHERE a.assistant_id = $1::uuid AND ($2::jsonb IS NULL OR "
				"a.metadata @> $2) "
				"ORDER BY a.version DESC LIMIT $3::bigint OFFSET $4::bigint",
	/* $7 column, $8 'asc' or 'desc'; a tenant has few assistants */
	[S_ASSISTANT_SEARCH] =
	    "SELECT " ASSISTANT " FROM " ASSISTANTS ASSISTANTS_WHERE "ORDER BY "
	    "CASE WHEN $8 = 'asc' THEN CASE $7 WHEN 'name' THEN a.name WHEN 'graph_id' THEN "
	    "a.graph_id WHEN 'assistant_id' THEN a.assistant_id::text WHEN 'updated_at' THEN "
	    "a.updated_at::text ELSE a.created_at::text END END, "
	    "CASE WHEN $8 = 'desc' THEN CASE $7 WHEN 'name' THEN a.name WHEN 'graph_id' THEN "
	    "a.graph_id WHEN 'assistant_id' THEN a.assistant_id::text WHEN 'updated_at' THEN "
	    "a.updated_at::text ELSE a.created_at::text END END DESC, a.graph_id, a.assistant_id "
	    "LIMIT $9::bigint OFFSET $10::bigint",
	[S_ASSISTANT_COUNT] = "SELECT count(*) FROM " ASSISTANTS ASSISTANTS_WHERE,
	[S_THREAD_GET] = "SELECT " THREAD " FROM threads t "
			 "WHERE t.thread_id = $1::uuid",
	[S_THREAD_ADD] =
	    "INSERT INTO threads AS t (tenant_id, thread_id, metadata, config) VALUES ("
	    "nullif(current_setting('app.current_tenant_id', true), '')::uuid, $1::uuid, "
	    "$2::jsonb, $3::jsonb) ON CONFLICT (tenant_id, thread_id) DO NOTHING RETURNING " THREAD,
	[S_THREAD_PATCH] = "UPDATE threads t SET metadata = t.metadata || $2::jsonb, "
			   "updated_at = clock_timestamp() WHERE t.thread_id = $1::uuid "
			   "RETURNING " THREAD,
	/* only what changes is written: metadata is indexed */
	[S_THREAD_TAG] = "UPDATE threads SET metadata = metadata || $2::jsonb, config = $3::jsonb "
			 "WHERE thread_id = $1::uuid "
			 "AND NOT (metadata @> $2::jsonb AND config = $3::jsonb)",
	[S_THREAD_CONFIG] = "SELECT config FROM threads WHERE thread_id = $1::uuid",
	[S_THREAD_DELETE] = "DELETE FROM threads WHERE thread_id = $1::uuid",
	/* the copy goes on from where the original stands: nothing else is copied */
	[S_THREAD_COPY] =
	    "INSERT INTO threads AS t (tenant_id, thread_id, status, metadata, config, \"values\", "
	    "interrupts, error, head_run, head_seq, state_updated_at) SELECT o.tenant_id, "
	    "$2::uuid, o.status, o.metadata || jsonb_build_object('thread_id', $2::text), "
	    "o.config, "
	    "o.values, o.interrupts, o.error, o.head_run, o.head_seq, o.state_updated_at "
	    "FROM threads o WHERE o.thread_id = $1::uuid RETURNING " THREAD,
	[S_THREAD_COUNT] = "SELECT count(*)" THREADS_WHERE,
	[S_THREAD_OF_ASSISTANT] =
	    "SELECT thread_id FROM threads WHERE metadata @> jsonb_build_object('assistant_id', "
	    "$1::text) LIMIT 100",
	/* what the engine must end, or may hold */
	[S_THREAD_LIVE] = "SELECT r.run_id FROM agent_runs r WHERE r.thread_id = $1::uuid "
			  "AND (r.status IN ('pending', 'running', 'interrupted') OR " UNTOLD
			  ") AND " NO_COPY,
	[S_THREAD_RUNS_DELETE] =
	    "WITH gone AS (DELETE FROM agent_runs r WHERE r.thread_id = $1::uuid "
	    "AND r.status NOT IN ('pending', 'running', 'interrupted') AND NOT " UNTOLD
	    " AND " NO_COPY
	    "RETURNING r.run_id) DELETE FROM run_events e USING gone WHERE e.run_id = gone.run_id",
	/* where it stands: in the run that is under way, else where the last one ended */
	[S_THREAD_HEAD] =
	    "SELECT coalesce(l.run_id, t.head_run), CASE WHEN l.run_id IS NULL THEN t.head_seq "
	    "END, "
	    "coalesce(l.workflow, h.workflow, t.metadata->>'graph_id') FROM threads t "
	    "LEFT JOIN LATERAL (SELECT r.run_id, r.workflow FROM agent_runs r WHERE r.tenant_id = "
	    "t.tenant_id AND r.thread_id = t.thread_id AND r.status = 'running' "
	    "ORDER BY r.run_id DESC LIMIT 1) l ON true "
	    "LEFT JOIN agent_runs h ON h.run_id = t.head_run WHERE t.thread_id = $1::uuid",
	/* one of its runs, or of those that they go on from */
	[S_THREAD_HAS_RUN] =
	    "WITH RECURSIVE chain AS (SELECT head_run AS run_id FROM threads WHERE thread_id = "
	    "$1::uuid UNION SELECT r.base_run FROM agent_runs r JOIN chain c ON r.run_id = "
	    "c.run_id "
	    "WHERE r.base_run IS NOT NULL) SELECT 1 WHERE EXISTS (SELECT 1 FROM agent_runs r "
	    "WHERE r.run_id = $2::uuid AND r.thread_id = $1::uuid) "
	    "OR $2::uuid IN (SELECT run_id FROM chain)",
	[S_RUN_GET] = "SELECT " RUN
		      "WHERE r.run_id = $2::uuid AND ($1::uuid IS NULL OR " RUN_OF_THREAD
		      ") AND " NO_UPDATE,
	[S_RUN_LIST] = "SELECT " RUN "WHERE " RUN_OF_THREAD "AND " NO_UPDATE
		       "AND ($2::text IS NULL OR r.status = ANY (string_to_array($2, ','))) "
		       "AND ($3::jsonb IS NULL OR r.metadata @> $3) "
		       "ORDER BY r.run_id DESC LIMIT $4::bigint OFFSET $5::bigint",
	/* $1 thread or NULL, $2 statuses */
	[S_RUN_LIVE] = "SELECT r.run_id FROM agent_runs r WHERE ($1::uuid IS NULL OR r.thread_id = "
		       "$1::uuid) AND r.status = ANY (string_to_array($2, ',')) LIMIT 1000",
	/* of $1, when one of its runs began: microseconds since 1970, as its log says */
	[S_RUN_BEGAN] = "SELECT " BEGAN
			" FROM agent_runs r JOIN run_events e ON e.run_id = r.run_id "
			"AND e.seq = 0 WHERE r.thread_id = $1::uuid AND r.run_id = $2::uuid",
	/* of $1, the newest that does not run any more: run, when it began */
	[S_RUN_NEWEST] =
	    "SELECT r.run_id, " BEGAN " FROM agent_runs r JOIN run_events e ON e.run_id = r.run_id "
	    "AND e.seq = 0 WHERE r.thread_id = $1::uuid AND r.status NOT IN ('pending', 'running') "
	    "ORDER BY e.ts DESC, r.run_id DESC LIMIT 1",
	/* of $1, the first that began after the run $3 did, at $2 (also those that edit) */
	[S_RUN_NEXT] =
	    "SELECT r.run_id, " BEGAN ", r.workflow, r.assistant_id, "
	    "r.request->'options'->'stream_mode', r.metadata ? '" LG_EDIT "' "
	    "FROM agent_runs r JOIN run_events e ON e.run_id = r.run_id AND e.seq = 0 "
	    "WHERE r.thread_id = $1::uuid AND r.status <> 'pending' "
	    "AND (r.ended_at IS NULL OR (extract(epoch FROM r.ended_at) * 1000000)::bigint >= "
	    "$2::bigint) AND (" BEGAN ", r.run_id) > ($2::bigint, $3::uuid) "
	    "ORDER BY e.ts, r.run_id LIMIT 1",
	[S_STORE_PUT] =
	    "INSERT INTO store_items (namespace, key, value) VALUES ("
	    "ARRAY(SELECT jsonb_array_elements_text($1::jsonb)), $2, $3::jsonb) "
	    "ON CONFLICT (tenant_id, namespace, key) DO UPDATE SET value = excluded.value, "
	    "updated_at = now()",
	[S_STORE_GET] = "SELECT to_json(namespace), key, value, " TIME("created_at") ", " TIME(
	    "updated_at") " FROM store_items WHERE namespace = "
			  "ARRAY(SELECT jsonb_array_elements_text($1::jsonb)) AND key = $2",
	[S_STORE_DELETE] = "DELETE FROM store_items WHERE namespace = "
			   "ARRAY(SELECT jsonb_array_elements_text($1::jsonb)) AND key = $2",
	/* $1 prefix, $2 filter, $3 words; an array sorts right after what it begins with */
	[S_STORE_SEARCH] =
	    "SELECT to_json(i.namespace), i.key, i.value, " TIME("i.created_at") ", " TIME(
		"i.updated_at") ", CASE WHEN $3::text IS NOT NULL THEN "
				"ts_rank(to_tsvector('simple', "
				"i.value), websearch_to_tsquery('simple', $3)) END AS score "
				"FROM store_items i, (SELECT ARRAY(SELECT "
				"jsonb_array_elements_text($1::jsonb)) AS ns) "
				"AS p WHERE i.namespace >= p.ns AND "
				"i.namespace[1:cardinality(p.ns)] = p.ns "
				"AND ($3::text IS NULL OR to_tsvector('simple', i.value) @@ "
				"websearch_to_tsquery('simple', $3)) "
				"AND NOT EXISTS (SELECT 1 FROM jsonb_each($2::jsonb) AS f (k, "
				"want) WHERE NOT "
				"coalesce(CASE WHEN jsonb_typeof(f.want) <> 'object' OR f.want = "
				"'{}' "
				"OR NOT EXISTS (SELECT 1 FROM jsonb_object_keys(f.want) k WHERE k "
				"LIKE '$%') "
				"THEN i.value->f.k = f.want ELSE (SELECT bool_and(coalesce(CASE "
				"o.op "
				"WHEN '$eq' THEN i.value->f.k = o.v WHEN '$ne' THEN i.value->f.k "
				"IS DISTINCT FROM o.v "
				"WHEN '$gt' THEN i.value->f.k > o.v WHEN '$gte' THEN i.value->f.k "
				">= o.v "
				"WHEN '$lt' THEN i.value->f.k < o.v WHEN '$lte' THEN i.value->f.k "
				"<= o.v END AND "
				"(o.op IN ('$eq', '$ne') OR jsonb_typeof(i.value->f.k) = "
				"jsonb_typeof(o.v)), false)) "
				"FROM jsonb_each(f.want) AS o (op, v)) END, false)) "
				"ORDER BY score DESC NULLS LAST, i.updated_at DESC, i.namespace, "
				"i.key "
				"LIMIT $4::bigint OFFSET $5::bigint",
	/* $1 prefix, $2 suffix ("*" is any label), $3 depth; all may be NULL */
	[S_STORE_NAMESPACES] =
	    "SELECT to_json(ns) FROM (SELECT DISTINCT CASE WHEN $3::integer IS NULL THEN namespace "
	    "ELSE namespace[1:$3::integer] END AS ns FROM store_items i WHERE NOT EXISTS ("
	    "SELECT 1 FROM jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS p (x, n) "
	    "WHERE p.x <> '*' AND i.namespace[p.n] IS DISTINCT FROM p.x) "
	    "AND cardinality(i.namespace) >= coalesce(jsonb_array_length($1::jsonb), 0) "
	    "AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY "
	    "AS p (x, n) WHERE p.x <> '*' AND i.namespace[cardinality(i.namespace) - "
	    "jsonb_array_length($2::jsonb) + p.n] IS DISTINCT FROM p.x) "
	    "AND cardinality(i.namespace) >= coalesce(jsonb_array_length($2::jsonb), 0)) AS s "
	    "ORDER BY ns LIMIT $4::bigint OFFSET $5::bigint",
};

const char *const lg_sql_threads[SORT_COUNT][2] = {
	[SORT_CREATED_AT] = { THREADS("t.created_at"), THREADS("t.created_at DESC") },
	[SORT_UPDATED_AT] = { THREADS("t.updated_at"), THREADS("t.updated_at DESC") },
	[SORT_STATE_UPDATED_AT] = { THREADS("t.state_updated_at"),
	    THREADS("t.state_updated_at DESC NULLS LAST") },
	[SORT_THREAD_ID] = { THREADS("t.thread_id"), THREADS("t.thread_id DESC") },
	[SORT_STATUS] = { THREADS(STATUS), THREADS(STATUS " DESC") },
};
