/* index_local.h: what the files of this plugin share. */
#ifndef INDEX_LOCAL_H
#define INDEX_LOCAL_H

#include <insula/insula.h>
#include <insula/retriever.h>

#include "index.h"
#include "tenants.h"

#define POOL_POSTINGS 20000u /* a search that reads more runs on the pool: about a millisecond */
#define PAGE_ROWS 500        /* chunks read at once */
#define CHANGES_ROWS 5000    /* document changes read at once */
#define FILTER_CONDITIONS 20u
#define FILTER_DOCUMENTS 100000u
#define TRIES_MAX 5 /* other tenants may push an index out between reading and searching it */
#define WAIT_MS 2   /* while another task reads the same tenant's changes */

struct index_conf {
	double k1, b, title_boost;
	int64_t memory;
};

enum index_stmt { S_STATE, S_CHANGES, S_PAGE, S_FETCH, S_FILTER, S_COUNT };

struct index_local {
	ins_host *host;
	struct index_conf conf;
	struct index_params params;
	struct tenants *tenants;
	const ins_stmt *s[S_COUNT];
	ins_metric *seconds, *bytes, *chunks_read;
};

struct filter {
	uint8_t (*ids)[16]; /* sorted */
	size_t n;
};

struct request {
	ins_str query;
	unsigned top_k;
	double threshold;
	const json_t *condition; /* NULL = none */
	struct filter filter;
};

/* Brings the tenant's set to change number `need` or later. index_local_pull.c */
INS_AWAITS
int pull(ins_ctx *, struct index_local *, int64_t need);
/* Reads the documents that a metadata_condition admits. index_local_filter.c */
INS_AWAITS
int filter_read(ins_ctx *, struct index_local *, const json_t *condition, struct filter *ret);
int filter_accepts(void *filter, const struct seg_document *);
/* The retriever's answer; rows are of S_FETCH. index_local_answer.c */
json_t *answer_make(const struct index_set *, const struct index_query *, const struct request *,
    const ins_rows *rows);

int uuid_parse(const char *z, uint8_t out[16]);
void uuid_print(const uint8_t id[16], char out[37]);

#endif
