/* client.c: the blocking HTTP client of the client subcommands, over libcurl. One thread, own
 * process. */
#include "cli/client.h"

#include "base/base.h"

struct stream {
	struct client *client;
	struct str line;
	int (*on_data)(void *, const char *, size_t);
	void *arg;
	int stopped;
};

int
client_init(struct client *c, const char *url, const char *key)
{
	char *header;

	memset(c, 0, sizeof *c);
	c->url = url != NULL ? url : getenv("INSULA_URL");
	c->key = key != NULL ? key : getenv("INSULA_KEY");
	if (c->url == NULL || c->key == NULL) {
		fprintf(stderr, "insula: no %s given: use %s or set %s\n",
		    c->url == NULL ? "host" : "key", c->url == NULL ? "--url" : "--key",
		    c->url == NULL ? "INSULA_URL" : "INSULA_KEY");
		return -1;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	c->curl = curl_easy_init();
	AN(c->curl);
	header = base_printf("Authorization: Bearer %s", c->key);
	c->auth = curl_slist_append(NULL, header);
	free(header);
	str_init(&c->answer, CLIENT_ANSWER_MAX);
	return 0;
}

void
client_fini(struct client *c)
{
	curl_slist_free_all(c->auth);
	curl_easy_cleanup(c->curl);
	str_fini(&c->answer);
	curl_global_cleanup();
}

static size_t
client_collect(char *p, size_t size, size_t n, void *arg)
{
	struct str *answer = arg;

	str_add(answer, p, size * n);
	return answer->overflow ? 0 : size * n;
}

/* Prints what the host says was wrong: its error body's message, or the status when it has none. */
static void
client_complain(struct client *c, const char *method, const char *path)
{
	json_t *j = c->answer.n == 0 ? NULL : json_loadb(c->answer.p, c->answer.n, 0, NULL);
	const char *message = json_string_value(
	    json_object_get(json_object_get(j, "error"), "message"));

	fprintf(stderr, "insula: %s %s: %ld: %s\n", method, path, c->status,
	    message != NULL ? message : "the host gave no reason");
	json_decref(j);
}

static int
client_perform(struct client *c, const char *method, const char *path, struct curl_slist *headers)
{
	char *url = base_printf("%s%s", c->url, path);
	CURLcode rc;

	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	c->error[0] = '\0';
	rc = curl_easy_perform(c->curl);
	c->status = 0;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
	if (rc != CURLE_OK && rc != CURLE_WRITE_ERROR)
		fprintf(stderr, "insula: %s: %s\n", url,
		    c->error[0] ? c->error : curl_easy_strerror(rc));
	free(url);
	return rc == CURLE_OK ? 0 : -1;
}

static json_t *
client_answer(struct client *c, const char *method, const char *path)
{
	json_t *j;

	if (c->status >= 400) {
		client_complain(c, method, path);
		return NULL;
	}
	if (c->answer.n == 0)
		return json_null();
	j = json_loadb(c->answer.p, c->answer.n, JSON_DECODE_ANY, NULL);
	if (j == NULL)
		fprintf(stderr, "insula: %s %s: the answer is not JSON\n", method, path);
	return j;
}

json_t *
client_call(
    struct client *c, const char *method, const char *path, const json_t *json, curl_mime *mime)
{
	struct curl_slist *headers = curl_slist_append(NULL, c->auth->data);
	char *body = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int rc;

	str_reset(&c->answer);
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, client_collect);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->answer);
	if (mime != NULL) {
		curl_easy_setopt(c->curl, CURLOPT_MIMEPOST, mime);
	} else if (body != NULL) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
	}
	rc = client_perform(c, method, path, headers);
	curl_slist_free_all(headers);
	curl_mime_free(mime);
	free(body);
	return rc == 0 ? client_answer(c, method, path) : NULL;
}

json_t *
client_put(struct client *c, const char *path, const char *p, size_t n)
{
	struct curl_slist *headers = curl_slist_append(NULL, c->auth->data);
	int rc;

	headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
	str_reset(&c->answer);
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, client_collect);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->answer);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, p);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
	rc = client_perform(c, "PUT", path, headers);
	curl_slist_free_all(headers);
	return rc == 0 ? client_answer(c, "PUT", path) : NULL;
}

/* Our own host writes each event as one "data: ..." line, so lines are all that has to be told
 * apart here. An error answer is JSON instead of events, and is kept whole for client_complain().
 */
static size_t
client_events(char *p, size_t size, size_t n, void *arg)
{
	struct stream *s = arg;
	size_t i, total = size * n;
	long status = 0;

	curl_easy_getinfo(s->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400)
		return client_collect(p, size, n, &s->client->answer);
	for (i = 0; i < total; i++) {
		if (p[i] != '\n') {
			str_add(&s->line, p + i, 1);
			continue;
		}
		if (s->line.n > 6 && memcmp(s->line.p, "data: ", 6) == 0 &&
		    s->on_data(s->arg, s->line.p + 6, s->line.n - 6) != 0) {
			s->stopped = 1;
			return 0;
		}
		str_reset(&s->line);
	}
	return s->line.overflow ? 0 : total;
}

int
client_stream(struct client *c, const char *path, const json_t *json,
    int (*on_data)(void *, const char *, size_t), void *arg)
{
	struct stream s = { .client = c, .on_data = on_data, .arg = arg };
	struct curl_slist *headers = curl_slist_append(NULL, c->auth->data);
	char *body = json_dumps(json, JSON_COMPACT);
	int rc;

	str_reset(&c->answer);
	str_init(&s.line, CLIENT_ANSWER_MAX);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, client_events);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &s);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
	rc = client_perform(c, "POST", path, headers);
	curl_slist_free_all(headers);
	str_fini(&s.line);
	free(body);
	if (rc != 0)
		return s.stopped ? 0 : -1;
	if (c->status >= 400) {
		client_complain(c, "POST", path);
		return -1;
	}
	return 0;
}
