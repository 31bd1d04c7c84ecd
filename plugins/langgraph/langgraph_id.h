/* langgraph_id.h: what names things in this API: uuids, checkpoints, places in a stream,
 * namespaces. Pure. */
#ifndef LANGGRAPH_ID_H
#define LANGGRAPH_ID_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define LG_UUID_LEN 36u
#define LG_SEQ_MAX 2147483647 /* of an event: the column is an integer */

/* The place of a checkpoint: "<run id>:<seq>", the event that made the state. */
struct lg_checkpoint {
	char run_id[LG_UUID_LEN + 1];
	int64_t seq;
};

/*
 * Where a stream stands, as the id of a server-sent event says it. Recorded event `seq` may become
 * several SSE events: all but its last are "<seq>-<n>", n of them sent so far; the last is "<seq>".
 * Pieces of a step's stream after it are "<seq>.<n>". What is not recorded is not sent again.
 */
struct lg_place {
	int64_t after;   /* the last recorded event that was told whole; -1 = none */
	uint32_t frames; /* SSE events of the next recorded event that were sent already */
};

/* Checks a uuid in its text form and writes it in lower case. 1 = it is one. */
int lg_uuid(const char *z, char ret[LG_UUID_LEN + 1]);
/* The id of a workflow's own assistant, as LangGraph makes it: version 5 (RFC 9562) of the name in
 * the namespace "url". */
void lg_uuid_of_name(const char *name, char ret[LG_UUID_LEN + 1]);

/* 1 = it is a checkpoint's id. z need not end with NUL. */
int lg_checkpoint_parse(const char *z, size_t n, struct lg_checkpoint *ret);
/* 1 = it is the id of an event of ours, or "-1" (from the beginning). */
int lg_place_parse(const char *z, size_t n, struct lg_place *ret);

/* The same in the stream of a thread, "<run id>:<place>"; *ret_end: "<run id>:end", where all of
 * the run was told. */
int lg_thread_place_parse(
    const char *z, size_t n, char ret_run_id[LG_UUID_LEN + 1], struct lg_place *ret, int *ret_end);

#define LG_NAMESPACE_LABELS_MAX 16u
#define LG_NAMESPACE_LABEL_MAX 128u /* bytes */
/*
 * NULL, or what is wrong with this namespace: a list of 1 (or at_least) to 16 texts of 1 to 128
 * bytes without '.' (GET joins them with it) and control characters; "*" only where wild.
 */
const char *lg_namespace_fault(const json_t *labels, size_t at_least, int wild);
/* The list that "a.b.c" stands for, a new reference; NULL when it is none. */
json_t *lg_namespace_parse(const char *z);

#endif
