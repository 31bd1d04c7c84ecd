/*
 * client.h: an HTTP client for tests, by libcurl. Blocking, any thread; one client is one thread's.
 * It keeps its connection between calls.
 */
#ifndef TESTS_CLIENT_H
#define TESTS_CLIENT_H

#include <jansson.h>
#include <stddef.h>

struct client;

struct reply {
	int status; /* 0 = no answer: refused, cut, late, or left by us */
	int cut;    /* the body did not end properly */
	char *head; /* raw lines, without those of a 100 Continue */
	char *body; /* NUL-terminated */
	size_t body_n;
	json_t *json; /* the body when it is JSON, else NULL */
};

/* base: "http://127.0.0.1:8080". key: for the Authorization header; NULL = none. */
struct client *client_new(const char *base, const char *key);
void client_free(struct client *);
void client_key(struct client *, const char *key);
/* One more header of every call from now on ("x-api-key: KEY"); NULL = none. Borrowed. */
void client_header(struct client *, const char *line);
/* From now on over this unix socket; with HTTP/2 in clear text. */
void client_unix(struct client *, const char *path);
void client_http2(struct client *);

/* One exchange; at most 60 s. body NULL = none, sent as application/json unless ctype says
 * otherwise. The reply is the client's, until the next call. */
const struct reply *client_call(struct client *, const char *method, const char *path,
    const char *ctype, const void *body, size_t n);
const struct reply *client_get(struct client *, const char *path);
const struct reply *client_post(struct client *, const char *path, const char *json);
/* Like client_post, but leaves (closes the connection) once this text was received. */
const struct reply *client_post_until(
    struct client *, const char *path, const char *json, const char *text);
/* The value of a header of the reply, "" when absent; static. */
const char *reply_header(const struct reply *, const char *name);

/* Sends a POST and does not wait for its answer: the socket, for the caller to close. */
int client_send_only(struct client *, const char *path, const char *json);

#endif
