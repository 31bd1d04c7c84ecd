/*
 * knowledge.c: documents of a tenant: taken in, turned into passages in the background, listed,
 * deleted; and the retrieval endpoint over whatever index is there. Descriptor, options and
 * registration; see README.md.
 */
#include "knowledge.h"

#include <insula/retriever.h>

static const ins_option options[] = {
	INS_OPT_MS(struct knowledge_conf, parse_timeout, "60s",
	    "how long the parser of one document may take"),
	INS_OPT_MS(struct knowledge_conf, stale_after, "10m",
	    "a document whose ingestion has not moved for this long has failed"),
	INS_OPT_SIZE(
	    struct knowledge_conf, upload_max, "64m", "the largest document, sent in parts"),
	INS_OPT_MS(struct knowledge_conf, upload_ttl, "24h",
	    "an upload that is not completed by then is dropped"),
	INS_OPT_END(struct knowledge_conf),
};

static const ins_need needs[] = { { INS_RETRIEVER_IFACE, INS_ONE }, { NULL, 0 } };

static const char schema_1[] =
#include "plugins/knowledge/knowledge.inc"
    ;
static const char *const schema[] = { "0001_documents", schema_1, NULL };

static const struct {
	const char *method, *pattern, *permission;
	ins_handler handler;
} routes[] = {
	{ "POST", "/v1/documents", "documents:write", documents_post },
	{ "GET", "/v1/documents", "documents:read", documents_list },
	{ "GET", "/v1/documents/{id}", "documents:read", documents_get },
	{ "GET", "/v1/documents/{id}/text", "documents:read", documents_text },
	{ "DELETE", "/v1/documents/{id}", "documents:write", documents_delete },
	{ "GET", "/v1/documents/{id}/jobs/{job}", "documents:read", jobs_get },
	{ "GET", "/v1/jobs/{job}", "documents:read", jobs_get },
	{ "POST", "/v1/uploads", "documents:write", uploads_post },
	{ "PUT", "/v1/uploads/{id}/parts/{n}", "documents:write", uploads_put_part },
	{ "POST", "/v1/uploads/{id}/complete", "documents:write", uploads_complete },
	{ "DELETE", "/v1/uploads/{id}", "documents:write", uploads_delete },
	{ "POST", "/retrieval", "retrieval:read", retrieval_post },
};

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct knowledge *k = ins_new(host, sizeof *k);
	size_t i;
	int r;

	k->host = host;
	memcpy(&k->conf, conf, sizeof k->conf);
	*ret_self = k;
	if (k->conf.parse_timeout >= k->conf.stale_after)
		return ins_conf_error(host, "parse_timeout", "must be shorter than stale_after");
	for (i = 0; i < S_COUNT; i++) {
		k->s[i] = ins_stmt_new(host, knowledge_sql[i]);
		if (k->s[i] == NULL)
			return -INS_EINVAL;
	}
	k->ended = ins_counter(
	    host, "documents_ingested_total", "Documents whose ingestion ended, by how.", "status");
	for (i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		r = ins_route(host, routes[i].method, routes[i].pattern, routes[i].permission,
		    routes[i].handler);
		if (r != 0)
			return r;
	}
	return ins_subscribe(host, "ingest.doc.requested", ingest_requested);
}

INS_PLUGIN(.name = "knowledge", .version = "1.0.0",
    .summary = "documents, their ingestion, and retrieval",
    .caps = INS_CAP_HTTP | INS_CAP_DB | INS_CAP_BUS | INS_CAP_CHILD, .options = options,
    .needs = needs, .schema = schema, .init = init);
