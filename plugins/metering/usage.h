/*
 * usage.h: a usage event as it is stored, and how JSON becomes one: in the SDK's form
 * (insula/meter.h) and as a CloudEvent 1.0. Pure; texts are borrowed from the JSON.
 */
#ifndef METERING_USAGE_H
#define METERING_USAGE_H

#include <jansson.h>

#include "prices.h"

#define USAGE_NAME_MAX 256u  /* bytes of source, id, subject */
#define USAGE_LABEL_MAX 128u /* of kind, model, workflow, run_id */
#define USAGE_LINES_MAX 33u  /* of one event: 32 models and the rest */
#define USAGE_COUNT_MAX PRICES_TOKENS_MAX
#define USAGE_DATA_MAX (64u << 10) /* bytes of a CloudEvent's data */
#define USAGE_HASH_HEX 32u         /* 128 bits of SHA-256: what differs is found, not kept out */
#define USAGE_ERR_MAX 200u

/* Whose source begins so is ours: no client may take the id of a run's event before the run does.
 */
#define USAGE_OURS "urn:insula:"

/* What counts; each is >= 0. */
struct usage_counts {
	int64_t prompt_tokens, completion_tokens, cached_tokens, tool_calls, duration_ms, quantity;
};

struct usage_line {
	const char *model; /* "" = none */
	struct usage_counts counts;
	int has_reported; /* somebody said what it cost */
	money reported;
	/* Of usage_price(). */
	int priced;
	money cost;
	const char *prices; /* the version, "reported", or "" */
};

struct usage_event {
	const char *source, *id, *kind, *subject, *workflow, *run_id; /* the last three may be "" */
	int64_t time_us;
	const json_t *data; /* of a CloudEvent, or NULL */
	char *data_text;    /* the same as text; freed by usage_fini() */
	char hash[USAGE_HASH_HEX + 1];
	unsigned n_lines;
	struct usage_line *lines; /* the caller's room */
};

/*
 * ev->lines must have room for USAGE_LINES_MAX lines; dflt_* where the event itself does not say
 * it. 0; -1 and err with a text fit for a client.
 */
int usage_parse(const json_t *, int64_t dflt_time_us, const char *dflt_workflow,
    const char *dflt_run_id, struct usage_event *ev, char err[USAGE_ERR_MAX]);
/*
 * A CloudEvent in JSON form; ev->lines must have room for one. source and id are set as soon as
 * they are known, also when it fails ("" else). latest_us: what is later has not happened.
 */
int usage_parse_cloudevent(const json_t *, int64_t now_us, int64_t latest_us,
    struct usage_event *ev, char err[USAGE_ERR_MAX]);
void usage_fini(struct usage_event *);
/* Sets cost and prices of each line. */
void usage_price(struct usage_event *, const struct prices *);

#endif
