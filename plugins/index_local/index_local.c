/*
 * index_local.c: ins.retriever/1 by BM25 in this process, one index per tenant. PostgreSQL holds
 * the truth: each search asks, in the round trip that fetches the passages' text, whether the
 * tenant's change number is still the index's, and catches up first when it is not. So whoever was
 * told that a document is indexed finds it, on any host.
 */
#include "index_local.h"

#include <math.h>
#include <stdlib.h>

static const char *const sql[S_COUNT] = {
	[S_STATE] = "SELECT change_no FROM knowledge_state",
	/* what ends passages: deletion, or a later version */
	[S_CHANGES] =
	    "SELECT document_id, version, deleted_at IS NOT NULL, change_no FROM documents "
	    "WHERE change_no > $1::bigint AND (deleted_at IS NOT NULL OR version > 1) ORDER BY "
	    "change_no LIMIT $2",
	[S_PAGE] = "SELECT chunk_id, document_id, version, ordinal, change_no, title, section, "
		   "content FROM chunks "
		   "WHERE (change_no, ordinal) > ($1::bigint, $2::integer) ORDER BY change_no, "
		   "ordinal LIMIT $3",
	[S_FETCH] = "SELECT c.chunk_id, c.document_id, c.content, c.title, c.section, "
		    "c.char_start, c.char_end, c.page, "
		    "c.version, d.metadata, d.source_url FROM chunks c JOIN documents d ON "
		    "d.document_id = c.document_id "
		    "WHERE c.chunk_id = ANY($1::uuid[]) AND d.deleted_at IS NULL",
#define V "(d.metadata ->> c.name)"
#define NUMBER "'^[-+]?[0-9]{1,30}([.][0-9]{1,30})?$'"
#define COMPARE(op)                                                                     \
	"CASE WHEN " V " ~ " NUMBER " AND c.value ~ " NUMBER " THEN " V "::numeric " op \
	" c.value::numeric END"
#define MATCHES                                                                                                                       \
	"coalesce(CASE c.op WHEN 'contains' THEN strpos(" V ", c.value) > 0 "                                                         \
	"WHEN 'not contains' THEN coalesce(strpos(" V ", c.value), 0) = 0 "                                                           \
	"WHEN 'start with' THEN starts_with(" V ", c.value) "                                                                         \
	"WHEN 'end with' THEN right(" V ", length(c.value)) = c.value WHEN 'is' THEN " V                                              \
	" = c.value "                                                                                                                 \
	"WHEN 'is not' THEN " V " IS DISTINCT FROM c.value WHEN 'empty' THEN coalesce(" V                                             \
	", '') = '' "                                                                                                                 \
	"WHEN 'not empty' THEN " V                                                                                                    \
	" <> '' WHEN '=' THEN " COMPARE("=") " WHEN '\u2260' THEN " COMPARE(                                                          \
	    "<>") " WHEN '>' THEN " COMPARE(">") " WHEN '<' THEN " COMPARE("<") " WHEN '\u2265' "                                     \
										"THEN " COMPARE(">=") " WHEN '\u2264' THEN " COMPARE( \
										    "<=") " WHEN "                                    \
											  "'befor"                                    \
											  "e' "                                       \
											  "THEN"                                      \
											  " " V                                       \
											  " COLLA"                                    \
											  "TE "                                       \
											  "\"C\" "                                    \
											  "< "                                        \
											  "c."                                        \
											  "value "                                    \
											  "WHEN "                                     \
											  "'after"                                    \
											  "' "                                        \
											  "THEN"                                      \
											  " " V                                       \
											  " COLLA"                                    \
											  "TE "                                       \
											  "\"C\" "                                    \
											  "> "                                        \
											  "c."                                        \
											  "value "                                    \
											  "END, "                                     \
											  "false)"
#define CONDITIONS "jsonb_to_recordset($1::jsonb) AS c (name text, op text, value text)"
	[S_FILTER] = "SELECT d.document_id FROM documents d WHERE d.deleted_at IS NULL AND "
		     "d.status = 'indexed' "
		     "AND CASE WHEN $2 = 'or' THEN EXISTS (SELECT 1 FROM " CONDITIONS
		     " WHERE " MATCHES ") "
		     "ELSE NOT EXISTS (SELECT 1 FROM " CONDITIONS " WHERE NOT " MATCHES
		     ") END LIMIT $3",
};

static const ins_option options[] = {
	INS_OPT_NUM(struct index_conf, k1, "1.2", "BM25: how fast a repeated word stops counting"),
	INS_OPT_NUM(
	    struct index_conf, b, "0.75", "BM25: how much long passages are marked down, 0 to 1"),
	INS_OPT_NUM(struct index_conf, title_boost, "2.0",
	    "a word of the title counts as so many words of the text"),
	INS_OPT_SIZE(struct index_conf, memory, "256m",
	    "memory for the indexes of all tenants; the least used go first"),
	INS_OPT_END(struct index_conf),
};

struct job {
	struct index_query *q;
	const struct index_set *set;
	const struct index_params *params;
	struct request *rq;
	int result;
};

static void
run(void *arg)
{
	struct job *j = arg;

	j->result = index_search(j->q, j->set, j->params, j->rq->top_k,
	    j->rq->condition != NULL ? filter_accepts : NULL, &j->rq->filter);
}

static int
rank(ins_ctx *ctx, struct index_local *x, struct request *rq, const struct index_set *set,
    struct index_query *q)
{
	struct job j = { q, set, &x->params, rq, 0 };
	int r = 0;

	if (index_query_init(q, set, rq->query.p, rq->query.n) != 0)
		return -INS_ENOMEM;
	if (q->postings > POOL_POSTINGS)
		r = ins_blocking(ctx, run, &j);
	else
		run(&j);
	if (r == 0 && j.result != 0)
		r = -INS_ENOMEM;
	while (r == 0 && q->n_hits > 0 && q->hits[q->n_hits - 1].normalised < rq->threshold)
		q->n_hits--;
	return r;
}

static char *
id_array(ins_ctx *ctx, const struct index_query *q)
{
	char *z = ins_alloc(ctx, q->n_hits * 37u + 3), *p = z;
	unsigned i;

	if (z == NULL)
		return NULL;
	*p++ = '{';
	for (i = 0; i < q->n_hits; i++) {
		if (i > 0)
			*p++ = ',';
		uuid_print(q->hits[i].chunk->id, p);
		p += 36;
	}
	strcpy(p, "}");
	return z;
}

/* One try: *ret_change is what PostgreSQL is at; an answer is made if the set is at least at need.
 */
static int
try_search(ins_ctx *ctx, struct index_local *x, struct request *rq, struct index_query *q,
    int64_t *need, json_t **ret)
{
	struct index_set *set = tenants_get(x->tenants, ins_tenant_id(ctx));
	ins_rows *rows[2] = { NULL, NULL };
	char *ids;
	int r;

	if (set == NULL)
		return -INS_ENOMEM;
	r = rank(ctx, x, rq, set, q);
	ids = r == 0 ? id_array(ctx, q) : NULL;
	if (r == 0 && ids == NULL)
		r = -INS_ENOMEM;
	if (r == 0) {
		const ins_arg arg = ins_text(ids);
		const ins_call calls[] = { { x->s[S_STATE], NULL, 0 }, { x->s[S_FETCH], &arg, 1 } };

		r = ins_db_batch(ctx, calls, q->n_hits > 0 ? 2 : 1, rows);
	}
	if (r == 0 && *need < 0)
		*need = ins_rows_count(rows[0]) == 0 ? 0 : ins_value_int(rows[0], 0, 0);
	if (r == 0 && set->complete >= *need) {
		*ret = answer_make(set, q, rq, rows[1]);
		r = *ret == NULL ? -INS_ENOMEM : 0;
	} else if (r == 0 && rows[1] != NULL) {
		ins_rows_end(rows[1]);
	}
	index_set_unref(set);
	return r;
}

static int
read_request(ins_ctx *ctx, const json_t *in, struct request *rq)
{
	const json_t *query = json_object_get(in, "query"), *top = json_object_get(in, "top_k");
	const json_t *threshold = json_object_get(in, "score_threshold");

	memset(rq, 0, sizeof *rq);
	rq->top_k = 10;
	if (!json_is_string(query))
		return ins_fail(ctx, INS_EINVAL, "query must be a text");
	rq->query = (ins_str){ json_string_value(query), json_string_length(query) };
	if (top != NULL &&
	    (!json_is_integer(top) || json_integer_value(top) < 1 ||
		json_integer_value(top) > INDEX_TOP_MAX))
		return ins_fail(ctx, INS_EINVAL, "top_k must be 1 to %u", INDEX_TOP_MAX);
	if (top != NULL)
		rq->top_k = (unsigned)json_integer_value(top);
	if (threshold != NULL && !json_is_number(threshold))
		return ins_fail(ctx, INS_EINVAL, "score_threshold must be 0 to 1");
	rq->threshold = json_number_value(threshold);
	rq->condition = json_object_get(in, "metadata_condition");
	return 0;
}

static int
search(ins_ctx *ctx, void *self, const json_t *in, json_t **ret_out)
{
	struct index_local *x = self;
	struct index_query *q = ins_alloc(ctx, sizeof *q);
	int64_t begin = ins_mono_us(), need = -1;
	struct request rq;
	int r, tries = 0;

	*ret_out = NULL;
	if (q == NULL)
		return -INS_ENOMEM;
	r = read_request(ctx, in, &rq);
	if (r == 0 && rq.condition != NULL)
		r = filter_read(ctx, x, rq.condition, &rq.filter);
	while (r == 0 && *ret_out == NULL) {
		r = try_search(ctx, x, &rq, q, &need, ret_out);
		if (r == 0 && *ret_out == NULL && ++tries > TRIES_MAX)
			r = ins_fail(ctx, INS_EUNAVAILABLE,
			    "the index was dropped while it was read; its memory is too small");
		if (r == 0 && *ret_out == NULL)
			r = pull(ctx, x, need);
	}
	if (r == 0)
		ins_observe(x->seconds, (double)(ins_mono_us() - begin) / 1e6);
	return r;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct index_local *x = ins_new(host, sizeof *x);
	ins_retriever *v = ins_new(host, sizeof *v);
	size_t i;

	x->host = host;
	memcpy(&x->conf, conf, sizeof x->conf);
	*ret_self = x;
	if (!(x->conf.k1 >= 0 && x->conf.k1 <= 100))
		return ins_conf_error(host, "k1", "must be 0 to 100");
	if (!(x->conf.b >= 0 && x->conf.b <= 1))
		return ins_conf_error(host, "b", "must be 0 to 1");
	if (!(x->conf.title_boost >= 0 && x->conf.title_boost <= 100))
		return ins_conf_error(host, "title_boost", "must be 0 to 100");
	x->params = (struct index_params){ x->conf.k1, x->conf.b, x->conf.title_boost };
	for (i = 0; i < S_COUNT; i++) {
		x->s[i] = ins_stmt_new(host, sql[i]);
		if (x->s[i] == NULL)
			return -INS_EINVAL;
	}
	x->seconds = ins_histogram(host, "index_search_seconds", "Searches of the local index.");
	x->bytes = ins_gauge(host, "index_bytes", "Memory of the local index, all tenants.");
	x->chunks_read = ins_counter(host, "index_chunks_read_total",
	    "Chunks read from PostgreSQL into the local index.", NULL);
	x->tenants = tenants_new((size_t)x->conf.memory);
	if (x->tenants == NULL)
		return -INS_ENOMEM;
	v->size = sizeof *v;
	v->self = x;
	v->search = search;
	return ins_provide(host, INS_RETRIEVER_IFACE, "local", v);
}

static void
fini(void *self)
{
	struct index_local *x = self;

	if (x != NULL)
		tenants_free(x->tenants);
}

INS_PLUGIN(.name = "index_local", .version = "1.0.0",
    .summary = "BM25 over the tenant's passages, in this process", .caps = INS_CAP_DB,
    .options = options, .init = init, .fini = fini);
