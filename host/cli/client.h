/*
 * client.h: what the client subcommands (run, ingest) share: a blocking HTTP client for one Insula
 * host.
 *
 * These run in a process of their own and talk to a host like any other client, with a key and over
 * HTTP: nothing here has a shortcut into the host.
 */
#ifndef HOST_CLIENT_H
#define HOST_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>

#include "base/str.h"

#define CLIENT_ANSWER_MAX (16u << 20)

struct client {
	const char *url, *key; /* --url or INSULA_URL, --key or INSULA_KEY */
	CURL *curl;
	struct curl_slist *auth;
	struct str answer; /* of the last call */
	long status;
	char error[CURL_ERROR_SIZE];
};

/* Takes url and key from the environment where NULL. 0, or -1 having said on standard error what is
 * missing. */
int client_init(struct client *, const char *url, const char *key);
void client_fini(struct client *);
/* One exchange; json (may be NULL) is borrowed, mime (may be NULL) taken. NULL and a message on
 * standard error when the host was not reached or answered an error; else the answer's JSON (null
 * for an empty one), a new reference. */
json_t *client_call(
    struct client *, const char *method, const char *path, const json_t *json, curl_mime *mime);
/* PUTs bytes as they are. */
json_t *client_put(struct client *, const char *path, const char *p, size_t n);
/* POSTs json and hands the data of each server-sent event to on_data; a non-zero return of it ends
 * the call. 0, or -1 having said why. */
int client_stream(struct client *, const char *path, const json_t *json,
    int (*on_data)(void *, const char *p, size_t n), void *arg);

/* The subcommands; argv[0] is the subcommand's name. They return an exit status. */
int cli_run(int argc, char **argv);
int cli_ingest(int argc, char **argv);

#endif
