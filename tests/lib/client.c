/* client.c: see client.h. */
#include "tests/lib/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL_MS 60000L
#define BODY_MAX (256u << 20)

struct client {
	CURL *curl;
	char *base, *key, *unix_path;
	struct reply reply;
	size_t head_n, head_cap, body_cap;
	const char *leave_at, *header;
	int http2;
};

static void
add(char **p, size_t *n, size_t *cap, const char *from, size_t more)
{
	if (*n + more + 1 > *cap) {
		*cap = (*n + more + 1) * 2;
		*p = realloc(*p, *cap);
		assert(*p != NULL);
	}
	memcpy(*p + *n, from, more);
	*n += more;
	(*p)[*n] = '\0';
}

static size_t
on_head(char *p, size_t size, size_t n, void *arg)
{
	struct client *c = arg;

	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		c->head_n = 0; /* the head of the answer proper, after a 100 */
	add(&c->reply.head, &c->head_n, &c->head_cap, p, n);
	return n;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct client *c = arg;

	if (c->reply.body_n + n > BODY_MAX)
		return 0;
	add(&c->reply.body, &c->reply.body_n, &c->body_cap, p, n);
	if (c->leave_at != NULL && strstr(c->reply.body, c->leave_at) != NULL)
		return 0;
	return n;
}

struct client *
client_new(const char *base, const char *key)
{
	struct client *c = calloc(1, sizeof *c);

	assert(c != NULL);
	c->curl = curl_easy_init();
	assert(c->curl != NULL);
	c->base = strdup(base);
	c->key = key == NULL ? NULL : strdup(key);
	return c;
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	free(c->base);
	free(c->key);
	free(c->unix_path);
	free(c->reply.head);
	free(c->reply.body);
	json_decref(c->reply.json);
	free(c);
}

void
client_key(struct client *c, const char *key)
{
	free(c->key);
	c->key = key == NULL ? NULL : strdup(key);
}

void
client_unix(struct client *c, const char *path)
{
	free(c->unix_path);
	c->unix_path = strdup(path);
}

void
client_header(struct client *c, const char *line)
{
	c->header = line;
}

void
client_http2(struct client *c)
{
	c->http2 = 1;
}

static void
reset(struct client *c)
{
	json_decref(c->reply.json);
	c->reply.json = NULL;
	c->reply.status = c->reply.cut = 0;
	c->reply.body_n = c->head_n = 0;
	add(&c->reply.head, &c->head_n, &c->head_cap, "", 0);
	add(&c->reply.body, &c->reply.body_n, &c->body_cap, "", 0);
}

const struct reply *
client_call(struct client *c, const char *method, const char *path, const char *ctype,
    const void *body, size_t n)
{
	struct curl_slist *headers = NULL;
	char line[16000], *url = NULL;
	CURLcode r;
	long status = 0;

	reset(c);
	url = malloc(strlen(c->base) + strlen(path) + 1);
	assert(url != NULL);
	sprintf(url, "%s%s", c->base, path);
	if (c->key != NULL) {
		snprintf(line, sizeof line, "Authorization: Bearer %s", c->key);
		headers = curl_slist_append(headers, line);
	}
	snprintf(line, sizeof line, "Content-Type: %s", ctype == NULL ? "application/json" : ctype);
	if (body != NULL)
		headers = curl_slist_append(headers, line);
	headers = curl_slist_append(headers, "Expect:");
	if (c->header != NULL)
		headers = curl_slist_append(headers, c->header);
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	if (c->unix_path != NULL)
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->unix_path);
	if (c->http2)
		curl_easy_setopt(
		    c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, CALL_MS);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
	if (body != NULL) {
		curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
	}
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	r = curl_easy_perform(c->curl);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	free(url);
	c->reply.status = (int)status;
	c->reply.cut = r != CURLE_OK;
	if (c->reply.body_n > 0)
		c->reply.json = json_loadb(
		    c->reply.body, c->reply.body_n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	return &c->reply;
}

const struct reply *
client_get(struct client *c, const char *path)
{
	return client_call(c, "GET", path, NULL, NULL, 0);
}

const struct reply *
client_post(struct client *c, const char *path, const char *json)
{
	return client_call(c, "POST", path, NULL, json, strlen(json));
}

const struct reply *
client_post_until(struct client *c, const char *path, const char *json, const char *text)
{
	const struct reply *r;

	c->leave_at = text;
	r = client_post(c, path, json);
	c->leave_at = NULL;
	return r;
}

const char *
reply_header(const struct reply *r, const char *name)
{
	static char value[1024];
	size_t n = strlen(name), len;
	const char *line;

	for (line = strstr(r->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':')
			continue;
		line += 3 + n;
		line += strspn(line, " ");
		len = strcspn(line, "\r\n");
		snprintf(value, sizeof value, "%.*s", (int)len, line);
		return value;
	}
	return "";
}

int
client_send_only(struct client *c, const char *path, const char *json)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	size_t n = strlen(json) + strlen(path) + (c->key == NULL ? 0 : strlen(c->key)) + 256;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), len;
	char *text = malloc(n);
	unsigned port;

	assert(text != NULL && fd >= 0);
	assert(sscanf(c->base, "http://127.0.0.1:%u", &port) == 1);
	to.sin_port = htons((uint16_t)port);
	assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	len = snprintf(text, n,
	    "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n%s%s%s"
	    "Content-Length: %zu\r\n\r\n%s",
	    path, c->key == NULL ? "" : "Authorization: Bearer ", c->key == NULL ? "" : c->key,
	    c->key == NULL ? "" : "\r\n", strlen(json), json);
	assert(send(fd, text, (size_t)len, MSG_NOSIGNAL) == len);
	free(text);
	return fd;
}
