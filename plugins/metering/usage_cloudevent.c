/*
 * usage_cloudevent.c: CloudEvents 1.0, JSON format, as usage events.
 *
 * type is the kind. In data count: prompt_tokens (or input_tokens), completion_tokens (or
 * output_tokens), cached_tokens, tool_calls, duration_ms, quantity, cost_nanos; model, workflow and
 * run_id say where. The rest of data is kept and counts nothing; the event itself always counts as
 * one. Extension attributes are not kept: what passes an event on may add or change them.
 *
 * Two events with one source and id are the same when type, subject, time and data are: a sender
 * that repeats itself may route through others, and need not send a time.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usage_int.h"

int
usage_hash(json_t *j, char ret[USAGE_HASH_HEX + 1], char err[USAGE_ERR_MAX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char *z = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	int ok = z != NULL && EVP_Digest(z, strlen(z), digest, NULL, EVP_sha256(), NULL) == 1;
	unsigned i;

	for (i = 0; ok && i < USAGE_HASH_HEX / 2; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", digest[i]);
	free(z);
	json_decref(j);
	return ok ? 0 : usage_refuse(err, "the event", "cannot be encoded");
}

static int
data_type(const json_t *j, char err[USAGE_ERR_MAX])
{
	const char *type;
	size_t n;

	if (usage_text(j, "datacontenttype", USAGE_NAME_MAX, 0, &type, err) != 0)
		return -1;
	n = strcspn(type, "; ");
	if (n == 0 || (n == 16 && strncasecmp(type, "application/json", n) == 0) ||
	    (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0))
		return 0;
	return usage_refuse(err, "datacontenttype", "must be application/json");
}

static int
parse_time(const json_t *j, int64_t now_us, int64_t latest_us, struct usage_event *ev,
    char err[USAGE_ERR_MAX])
{
	const char *time;

	if (usage_text(j, "time", 64, 0, &time, err) != 0)
		return -1;
	ev->time_us = now_us;
	if (*time != '\0' && instant_parse(time, &ev->time_us) != 0)
		return usage_refuse(err, "time", "must be an RFC 3339 time between 2000 and 2100");
	if (ev->time_us > latest_us)
		return usage_refuse(err, "time", "is in the future");
	return 0;
}

static int
parse_data(struct usage_event *ev, char err[USAGE_ERR_MAX])
{
	struct usage_line *line = ev->lines;
	struct usage_counts *c = &line->counts;
	const json_t *data = ev->data;

	if (data == NULL)
		return 0;
	if (json_dumpb(data, NULL, 0, JSON_COMPACT) > USAGE_DATA_MAX)
		return usage_refuse(err, "data", "is larger than 64 KiB");
	if (usage_text(data, "model", USAGE_LABEL_MAX, 0, &line->model, err) != 0 ||
	    usage_text(data, "workflow", USAGE_LABEL_MAX, 0, &ev->workflow, err) != 0 ||
	    usage_text(data, "run_id", USAGE_LABEL_MAX, 0, &ev->run_id, err) != 0 ||
	    usage_count(data, "input_tokens", &c->prompt_tokens, err) != 0 ||
	    usage_count(data, "output_tokens", &c->completion_tokens, err) != 0 ||
	    usage_count(data, "duration_ms", &c->duration_ms, err) != 0 ||
	    usage_count(data, "quantity", &c->quantity, err) != 0)
		return -1;
	return usage_counts(data, line, err);
}

/* Attributes that are absent are not in it, so that a time we gave is no part of the event. */
static json_t *
what_it_says(const json_t *j)
{
	return json_pack("{s:O*, s:O*, s:O*, s:O*}", "type", json_object_get(j, "type"), "subject",
	    json_object_get(j, "subject"), "time", json_object_get(j, "time"), "data",
	    json_object_get(j, "data"));
}

int
usage_parse_cloudevent(const json_t *j, int64_t now_us, int64_t latest_us, struct usage_event *ev,
    char err[USAGE_ERR_MAX])
{
	const json_t *data = json_object_get(j, "data");
	const char *version;

	ev->source = ev->id = ev->kind = ev->subject = ev->workflow = ev->run_id = "";
	ev->data = NULL;
	ev->n_lines = 1;
	memset(ev->lines, 0, sizeof *ev->lines);
	ev->lines->model = "";
	if (!json_is_object(j))
		return usage_refuse(err, "the event", "must be a JSON object");
	if (usage_text(j, "id", USAGE_NAME_MAX, 1, &ev->id, err) != 0 ||
	    usage_text(j, "source", USAGE_NAME_MAX, 1, &ev->source, err) != 0 ||
	    usage_text(j, "specversion", 16, 1, &version, err) != 0 ||
	    usage_text(j, "type", USAGE_LABEL_MAX, 1, &ev->kind, err) != 0 ||
	    usage_text(j, "subject", USAGE_NAME_MAX, 0, &ev->subject, err) != 0)
		return -1;
	if (strcmp(version, "1.0") != 0)
		return usage_refuse(err, "specversion", "must be 1.0");
	if (strncasecmp(ev->source, USAGE_OURS, sizeof USAGE_OURS - 1) == 0)
		return usage_refuse(err, "source", "must not begin with " USAGE_OURS);
	if (json_object_get(j, "data_base64") != NULL)
		return usage_refuse(err, "data_base64", "is not taken: data must be a JSON object");
	if (data != NULL && !json_is_null(data) && !json_is_object(data))
		return usage_refuse(err, "data", "must be a JSON object");
	ev->data = json_is_object(data) ? data : NULL;
	if (data_type(j, err) != 0 || parse_time(j, now_us, latest_us, ev, err) != 0 ||
	    parse_data(ev, err) != 0)
		return -1;
	return usage_hash(what_it_says(j), ev->hash, err);
}
