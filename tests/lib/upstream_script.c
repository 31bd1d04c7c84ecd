/* upstream_script.c: see upstream_script.h. */
#include "tests/lib/upstream_script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_HEAD                                                                              \
	"{\"id\":\"chatcmpl-up\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":" \
	"\"up\","
#define SSE_HEAD                                                 \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"

static void
add(struct script *s, const char *p, size_t n, uint64_t delay_ms, unsigned repeat)
{
	struct script_piece *piece = &s->pieces[s->n++];

	assert(s->n <= SCRIPT_PIECES_MAX);
	piece->p = malloc(n);
	assert(piece->p != NULL);
	memcpy(piece->p, p, n);
	piece->n = n;
	piece->delay_ms = delay_ms;
	piece->repeat = repeat;
}

static void
addz(struct script *s, const char *z)
{
	add(s, z, strlen(z), 0, 0);
}

/* One piece of the chunked coding. */
static void
coded(struct script *s, const char *z, uint64_t delay_ms, unsigned repeat)
{
	size_t n = strlen(z) + 32;
	char *p = malloc(n);
	int len;

	assert(p != NULL);
	len = snprintf(p, n, "%zx\r\n%s\r\n", strlen(z), z);
	add(s, p, (size_t)len, delay_ms, repeat);
	free(p);
}

/* An event whose data is a chunk with these choices, and usage or null behind them. */
static void
event(struct script *s, const char *choices, uint64_t delay_ms, unsigned repeat)
{
	size_t n = strlen(choices) + 256;
	char *z = malloc(n);

	assert(z != NULL);
	snprintf(z, n, "data: " CHUNK_HEAD "\"choices\":%s}\n\n", choices);
	coded(s, z, delay_ms, repeat);
	free(z);
}

static void
say(struct script *s, const char *text, uint64_t delay_ms)
{
	json_t *choices = json_pack(
	    "[{s:i, s:{s:s}, s:n}]", "index", 0, "delta", "content", text, "finish_reason");
	char *z = json_dumps(choices, JSON_COMPACT);

	event(s, z, delay_ms, 0);
	free(z);
	json_decref(choices);
}

static void
begin_stream(struct script *s, uint64_t delay_ms)
{
	add(s, SSE_HEAD, strlen(SSE_HEAD), delay_ms, 0);
	event(s,
	    "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
	    "\"finish_reason\":null}]",
	    0, 0);
}

static void
end_stream(struct script *s, const char *reason, const char *usage, int done)
{
	char z[400];

	snprintf(z, sizeof z, "[{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}]", reason);
	event(s, z, 0, 0);
	if (usage != NULL) {
		snprintf(z, sizeof z, "[],\"usage\":%s", usage);
		event(s, z, 0, 0);
	}
	if (done)
		coded(s, "data: [DONE]\n\n", 0, 0);
	addz(s, "0\r\n\r\n");
}

static void
whole(struct script *s, int status, const char *extra, const char *type, const char *body,
    uint64_t delay_ms)
{
	size_t n = strlen(body) + strlen(extra) + 256;
	char *z = malloc(n);
	int len;

	assert(z != NULL);
	len = snprintf(z, n,
	    "HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n%s", status,
	    type, strlen(body), extra, body);
	add(s, z, (size_t)len, delay_ms, 0);
	free(z);
}

void
script_json(struct script *s, int status, json_t *j)
{
	char *z = json_dumps(j, JSON_COMPACT);

	memset(s, 0, sizeof *s);
	assert(z != NULL);
	whole(s, status, "", "application/json", z, 0);
	free(z);
	json_decref(j);
}

void
script_fini(struct script *s)
{
	while (s->n > 0)
		free(s->pieces[--s->n].p);
}

/* ---------------------------------------------------------------- the behaviours */

struct ask {
	const json_t *request;
	const char *model, *authorization;
	int stream;
	unsigned long number; /* at the end of the model's name */
};

static const char usage[] = "{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18,"
			    "\"prompt_tokens_details\":{\"cached_tokens\":4}}";

/* message: JSON text of the message. */
static void
completion(
    struct script *s, const char *message, const char *reason, const char *use, uint64_t delay_ms)
{
	size_t n = strlen(message) + 512;
	char *z = malloc(n);

	assert(z != NULL);
	snprintf(z, n,
	    "{\"id\":\"chatcmpl-up\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"up\","
	    "\"choices\":[{\"index\":0,\"message\":%s,\"finish_reason\":\"%s\"}]%s%s}",
	    message, reason, use == NULL ? "" : ",\"usage\":", use == NULL ? "" : use);
	whole(s, 200, "", "application/json", z, delay_ms);
	free(z);
}

/* Text as a stream of words or as a whole. */
static void
text(struct script *s, const struct ask *a, const char *z, const char *use, int done,
    uint64_t first_ms, uint64_t each_ms)
{
	char *copy, *word, *rest, *message;
	json_t *m;

	if (!a->stream) {
		m = json_pack("{s:s, s:s}", "role", "assistant", "content", z);
		message = json_dumps(m, JSON_COMPACT);
		completion(s, message, "stop", use, first_ms);
		free(message);
		json_decref(m);
		return;
	}
	begin_stream(s, first_ms);
	copy = strdup(z);
	for (word = copy; word != NULL && s->n < SCRIPT_PIECES_MAX - 8; word = rest) {
		/* each word with the blank before it, so that joining gives the text again */
		rest = strchr(word + 1, ' ');
		if (rest != NULL) {
			char kept = *rest;

			*rest = '\0';
			say(s, word, each_ms);
			*rest = kept;
		} else {
			say(s, word, each_ms);
		}
	}
	free(copy);
	end_stream(s, "stop", use, done);
}

static void
echo(struct script *s, const struct ask *a)
{
	const json_t *messages = json_object_get(a->request, "messages");
	const char *said = json_string_value(
	    json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content"));
	char z[512];

	snprintf(z, sizeof z, "You said: %s", said == NULL ? "(nothing)" : said);
	text(s, a, z, usage, 1, 0, 0);
}

static void
cited(struct script *s, const struct ask *a)
{
	text(s, a, "The documents say so [1].", usage, 1, 0, 0);
}

static void
tools(struct script *s, const struct ask *a)
{
	if (!a->stream) {
		completion(s,
		    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
		    "{\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"weather\","
		    "\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}},"
		    "{\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"time\","
		    "\"arguments\":\"{}\"}}]}",
		    "tool_calls", usage, 0);
		return;
	}
	begin_stream(s, 0);
	event(s,
	    "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_a\","
	    "\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}}]",
	    0, 0);
	event(s,
	    "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
	    "\"arguments\":\"{\\\"city\\\":\"}}]}}]",
	    0, 0);
	event(s,
	    "[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
	    "\"arguments\":\"\\\"Rome\\\"}\"}},{\"index\":1,\"id\":\"call_b\","
	    "\"type\":\"function\",\"function\":{\"name\":\"time\",\"arguments\":\"{}\"}}]}}]",
	    0, 0);
	end_stream(s, "tool_calls", usage, 1);
}

static void
crlf(struct script *s, const struct ask *a)
{
	addz(s, SSE_HEAD);
	coded(s, "\xef\xbb", 0, 0);
	coded(s, "\xbf: hello\r", 0, 0);
	coded(s, "\nretry: 5\r\n\r\ndata: {\"choices\":[{\"index\":0,\r\n", 0, 0);
	coded(s, "data: \"delta\":{\"content\":\"in\"}}]}\r\n\r\n", 0, 0);
	coded(s, "data: {\"choices\":[{\"delta\":{\"content\":\" pieces\"}}]}\r\r", 0, 0);
	coded(
	    s, "data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n: bye\n\n", 0, 0);
	coded(s, "data: [DONE]", 0, 0); /* no blank line at the end */
	addz(s, "0\r\n\r\n");
}

static void
no_stream(struct script *s, const struct ask *a)
{
	struct ask plain = *a;

	plain.stream = 0;
	echo(s, &plain);
}

static void
no_done(struct script *s, const struct ask *a)
{
	text(s, a, "whole without DONE", usage, 0, 0, 0);
}

static void
no_usage(struct script *s, const struct ask *a)
{
	text(s, a, "twelve bytes", NULL, 1, 0, 0);
}

static void
bad_usage(struct script *s, const struct ask *a)
{
	text(s, a, "twelve bytes", "{\"prompt_tokens\":-5,\"completion_tokens\":1}", 1, 0, 0);
}

static void
status(struct script *s, const struct ask *a)
{
	json_t *j = json_object();
	char z[300], *body;

	snprintf(z, sizeof z, "refused with %lu, you sent %s", a->number, a->authorization);
	json_object_set_new(j, "error",
	    json_pack("{s:s, s:s, s:n, s:s}", "message", z, "type", "test_error", "param", "code",
		a->number == 429 ? "rate_limit_exceeded" : "test_code"));
	body = json_dumps(j, JSON_COMPACT);
	whole(s, (int)a->number, a->number == 429 || a->number == 503 ? "Retry-After: 7\r\n" : "",
	    "application/json", body, 0);
	free(body);
	json_decref(j);
}

static void
slow(struct script *s, const struct ask *a)
{
	text(s, a, "slow but here", usage, 1, a->number, 0);
}

static void
drip(struct script *s, const struct ask *a)
{
	char z[40 * 5 + 1] = "";
	int i;

	for (i = 0; i < 40; i++)
		snprintf(z + strlen(z), 6, "%sw%02d", i == 0 ? "" : " ", i);
	text(s, a, z, usage, 1, 0, a->number);
}

static void
hang(struct script *s, const struct ask *a)
{
	s->end = SCRIPT_HANG;
}

static void
half(struct script *s)
{
	begin_stream(s, 0);
	say(s, "half", 0);
	say(s, " of it", 0);
}

static void
hang_mid(struct script *s, const struct ask *a)
{
	half(s);
	s->end = SCRIPT_HANG;
}

static void
cut(struct script *s, const struct ask *a)
{
	if (a->stream)
		half(s);
	else
		addz(s,
		    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		    "Content-Length: 400\r\n\r\n{\"choices\":[");
	s->end = SCRIPT_CLOSE;
}

static void
cut_clean(struct script *s, const struct ask *a)
{
	half(s);
	addz(s, "0\r\n\r\n");
}

static void
error_mid(struct script *s, const struct ask *a)
{
	half(s);
	coded(s, "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n", 0,
	    0);
	addz(s, "0\r\n\r\n");
}

static void
bad_json(struct script *s, const struct ask *a)
{
	if (!a->stream) {
		whole(s, 200, "", "application/json", "{\"choices\": [not json", 0);
		return;
	}
	half(s);
	coded(s, "data: {\"choices\": [not json\n\n", 0, 0);
	end_stream(s, "stop", NULL, 1);
}

static void
bad_shape(struct script *s, const struct ask *a)
{
	if (!a->stream) {
		whole(s, 200, "", "application/json", "{\"choices\":7}", 0);
		return;
	}
	half(s);
	event(s, "7", 0, 0);
	end_stream(s, "stop", NULL, 1);
}

static void
bad_http(struct script *s, const struct ask *a)
{
	addz(s, "SSH-2.0-OpenSSH_9.2\r\n");
	s->end = SCRIPT_CLOSE;
}

static void
html(struct script *s, const struct ask *a)
{
	whole(s, 200, "", "text/html", "<html>captive portal</html>", 0);
}

static void
huge(struct script *s, const struct ask *a)
{
	static const char head[] = "[{\"index\":0,\"delta\":{\"content\":\"";
	char *z = malloc(8300);

	assert(z != NULL);
	strcpy(z, head);
	memset(z + sizeof head - 1, 'x', 8192);
	strcpy(z + sizeof head - 1 + 8192, "\"}}]");
	begin_stream(s, 0);
	event(s, z, 0, 1000000); /* 8 GB: whoever reads it must stop */
	free(z);
	s->end = SCRIPT_CLOSE;
}

static const struct behaviour {
	const char *name;
	int numbered; /* a number follows */
	void (*make)(struct script *, const struct ask *);
} behaviours[] = {
	{ "up-echo", 0, echo },
	{ "up-cite", 0, cited },
	{ "up-tools", 0, tools },
	{ "up-crlf", 0, crlf },
	{ "up-no-stream", 0, no_stream },
	{ "up-no-done", 0, no_done },
	{ "up-no-usage", 0, no_usage },
	{ "up-bad-usage", 0, bad_usage },
	{ "up-status-", 1, status },
	{ "up-slow-", 1, slow },
	{ "up-drip-", 1, drip },
	{ "up-hang", 0, hang },
	{ "up-hang-mid", 0, hang_mid },
	{ "up-cut", 0, cut },
	{ "up-cut-clean", 0, cut_clean },
	{ "up-error-mid", 0, error_mid },
	{ "up-bad-json", 0, bad_json },
	{ "up-bad-shape", 0, bad_shape },
	{ "up-bad-http", 0, bad_http },
	{ "up-html", 0, html },
	{ "up-huge", 0, huge },
};

void
script_make(struct script *s, const json_t *request, const char *authorization)
{
	const char *model = json_string_value(json_object_get(request, "model"));
	struct ask a = { request, model == NULL ? "" : model, authorization,
		json_is_true(json_object_get(request, "stream")), 0 };
	const struct behaviour *b;
	size_t i, n;
	char *end;

	memset(s, 0, sizeof *s);
	for (i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
		b = &behaviours[i];
		n = strlen(b->name);
		if (!b->numbered && strcmp(a.model, b->name) == 0)
			break;
		if (b->numbered && strncmp(a.model, b->name, n) == 0) {
			a.number = strtoul(a.model + n, &end, 10);
			if (*end == '\0' && end != a.model + n)
				break;
		}
	}
	if (i < sizeof behaviours / sizeof behaviours[0])
		behaviours[i].make(s, &a);
	else
		script_json(s, 404,
		    json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", "no such model",
			"type", "invalid_request_error", "param", "code", "model_not_found"));
}
