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
usage_digest(const char *p, size_t n, char ret[USAGE_HASH_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned i;

	if (EVP_Digest(p, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return -1;
	for (i = 0; i < USAGE_HASH_HEX / 2; i++) {
		ret[2 * i] = hex[digest[i] >> 4];
		ret[2 * i + 1] = hex[digest[i] & 15];
	}
	ret[USAGE_HASH_HEX] = '\0';
	return 0;
}

/* The hash of type, subject, time and data as they were sent, with the NUL that ends each: a time
 * that we gave is no part of the event. The text of data, its keys sorted, stays for the table. */
static int
hash_and_text(const json_t *j, struct usage_event *ev, char err[USAGE_ERR_MAX])
{
	const char *time = json_string_value(json_object_get(j, "time"));
	const char *part[3] = { ev->kind, ev->subject, time == NULL ? "" : time };
	size_t i, n = 0, data_n = ev->data == NULL ? 0 : USAGE_DATA_MAX;
	char *z;

	for (i = 0; i < 3; i++)
		n += strlen(part[i]) + 1;
	z = malloc(n + data_n + 1);
	if (z == NULL)
		return usage_refuse(err, "the event", "does not fit into memory");
	for (i = 0, n = 0; i < 3; i++) {
		memcpy(z + n, part[i], strlen(part[i]) + 1);
		n += strlen(part[i]) + 1;
	}
	if (ev->data != NULL) {
		data_n = json_dumpb(ev->data, z + n, USAGE_DATA_MAX, JSON_COMPACT | JSON_SORT_KEYS);
		if (data_n == 0 || data_n > USAGE_DATA_MAX) {
			free(z);
			return usage_refuse(err, "data", "is larger than 64 KiB");
		}
	}
	if (usage_digest(z, n + data_n, ev->hash) != 0) {
		free(z);
		return usage_refuse(err, "the event", "cannot be hashed");
	}
	if (ev->data != NULL) {
		memmove(z, z + n, data_n);
		z[data_n] = '\0';
		ev->data_text = realloc(z, data_n + 1);
		if (ev->data_text == NULL)
			ev->data_text = z;
	} else {
		free(z);
	}
	return 0;
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

int
usage_parse_cloudevent(const json_t *j, int64_t now_us, int64_t latest_us, struct usage_event *ev,
    char err[USAGE_ERR_MAX])
{
	const json_t *data = json_object_get(j, "data");
	const char *version;

	ev->source = ev->id = ev->kind = ev->subject = ev->workflow = ev->run_id = "";
	ev->data = NULL;
	ev->data_text = NULL;
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
	return hash_and_text(j, ev, err);
}
