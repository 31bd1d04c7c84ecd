/*
 * ingest.c: `insula ingest FILE...`: puts documents into the key's tenant and waits until each is
 * indexed or failed.
 *
 * A file up to one request's body goes up whole, a larger one in parts. Progress is a line per
 * file; one that fails does not stop the others.
 */
#include <errno.h>
#include <getopt.h>
#include <strings.h>
#include <time.h>

#include "base/base.h"
#include "cli/client.h"

#define INGEST_WHOLE_MAX \
	(3u << 20) /* below the host's body cap of 4 MiB, with room for the form around it */
#define INGEST_PART_SIZE (2u << 20)
#define INGEST_POLL_MS 50

static const char usage[] =
    "usage: insula ingest [--url URL] [--key KEY] [--no-wait] FILE...\n"
    "\n"
    "Puts documents (text, Markdown, HTML) into the tenant and waits until they can be found.\n"
    "\n"
    "  --url URL   the host (default: INSULA_URL)\n"
    "  --key KEY   an API key with documents:write and documents:read (default: INSULA_KEY)\n"
    "  --no-wait   return once they are accepted\n"
    "\n"
    "Exits 0 when every document was indexed, else 1.\n";

static const char *
ingest_media_type(const char *path)
{
	static const struct {
		const char *ending, *type;
	} types[] = { { ".html", "text/html" }, { ".htm", "text/html" }, { ".md", "text/markdown" },
		{ ".markdown", "text/markdown" }, { ".txt", "text/plain" } };
	const char *dot = strrchr(path, '.');
	size_t i;

	for (i = 0; dot != NULL && i < NELEM(types); i++)
		if (strcasecmp(dot, types[i].ending) == 0)
			return types[i].type;
	return "text/plain";
}

static char *
ingest_read(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "rb");
	size_t n = 0, cap = 65536, got;
	char *p = base_alloc(cap);

	while (f != NULL && (got = fread(p + n, 1, cap - n, f)) > 0) {
		n += got;
		if (n == cap)
			p = base_realloc(p, cap *= 2);
	}
	if (f == NULL || ferror(f)) {
		fprintf(stderr, "insula: %s: %s\n", path, strerror(errno));
		free(p);
		p = NULL;
	}
	if (f != NULL)
		fclose(f);
	*ret_n = n;
	return p;
}

static json_t *
ingest_whole(struct client *c, const char *name, const char *type, const char *p, size_t n)
{
	curl_mime *mime = curl_mime_init(c->curl);
	curl_mimepart *part = curl_mime_addpart(mime);

	curl_mime_name(part, "file");
	curl_mime_filename(part, name);
	curl_mime_type(part, type);
	curl_mime_data(part, p, n);
	return client_call(c, "POST", "/v1/documents", NULL, mime);
}

static json_t *
ingest_parts(struct client *c, const char *name, const char *type, const char *p, size_t n)
{
	json_t *request = json_pack(
	    "{s:s, s:s, s:I}", "filename", name, "media_type", type, "bytes", (json_int_t)n);
	json_t *upload = client_call(c, "POST", "/v1/uploads", request, NULL), *answer = NULL;
	const char *id = json_string_value(json_object_get(upload, "upload_id"));
	size_t at, part = 1;
	char path[256];

	json_decref(request);
	for (at = 0; id != NULL && at < n; at += INGEST_PART_SIZE, part++) {
		size_t len = n - at < INGEST_PART_SIZE ? n - at : INGEST_PART_SIZE;

		snprintf(path, sizeof path, "/v1/uploads/%s/parts/%zu", id, part);
		answer = client_put(c, path, p + at, len);
		if (answer == NULL)
			break;
		json_decref(answer);
	}
	if (id != NULL && at >= n) {
		snprintf(path, sizeof path, "/v1/uploads/%s/complete", id);
		answer = client_call(c, "POST", path, NULL, NULL);
	}
	json_decref(upload);
	return answer;
}

/* The document as the host accepted it, or NULL having said why not. */
static json_t *
ingest_send(struct client *c, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	const char *type = ingest_media_type(path);
	json_t *answer;
	size_t n;
	char *p = ingest_read(path, &n);

	if (p == NULL)
		return NULL;
	answer = n <= INGEST_WHOLE_MAX ? ingest_whole(c, name, type, p, n)
				       : ingest_parts(c, name, type, p, n);
	free(p);
	return answer;
}

/* 1 once the job has ended: *ret_ok tells how. */
static int
ingest_ended(struct client *c, const char *name, const json_t *accepted, int *ret_ok)
{
	const char *status, *message;
	char path[128];
	json_t *job;

	snprintf(path, sizeof path, "/v1/jobs/%s",
	    json_string_value(json_object_get(accepted, "job_id")));
	job = client_call(c, "GET", path, NULL, NULL);
	status = json_string_value(json_object_get(job, "status"));
	if (status == NULL || strcmp(status, "failed") == 0) {
		message = json_string_value(
		    json_object_get(json_object_get(job, "error"), "message"));
		fprintf(stderr, "insula: %s: %s\n", name,
		    message != NULL ? message : "the job could not be followed");
		*ret_ok = 0;
		json_decref(job);
		return 1;
	}
	*ret_ok = strcmp(status, "indexed") == 0;
	json_decref(job);
	return *ret_ok;
}

static int
ingest_wait(struct client *c, const char *name, const json_t *accepted)
{
	struct timespec pause = { 0, INGEST_POLL_MS * 1000000L };
	int ok = 0;

	while (!ingest_ended(c, name, accepted, &ok))
		nanosleep(&pause, NULL);
	if (ok)
		printf("%s: indexed\n", name);
	return ok;
}

int
cli_ingest(int argc, char **argv)
{
	static const struct option options[] = { { "url", 1, NULL, 'u' }, { "key", 1, NULL, 'k' },
		{ "no-wait", 0, NULL, 'n' }, { "help", 0, NULL, 'h' }, { 0 } };
	const char *url = NULL, *key = NULL;
	int opt, i, wait = 1, n_ok = 0;
	struct client client;
	json_t **accepted;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'u': url = optarg; break;
		case 'k': key = optarg; break;
		case 'n': wait = 0; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (client_init(&client, url, key) != 0)
		return 2;
	/* All are sent before the first is waited for, so that the host works on them together. */
	accepted = base_alloc((size_t)argc * sizeof *accepted);
	for (i = 0; i < argc; i++)
		accepted[i] = ingest_send(&client, argv[i]);
	for (i = 0; i < argc; i++) {
		if (accepted[i] != NULL && (!wait || ingest_wait(&client, argv[i], accepted[i])))
			n_ok++;
		json_decref(accepted[i]);
	}
	printf("%d of %d documents %s\n", n_ok, argc, wait ? "indexed" : "accepted");
	free(accepted);
	client_fini(&client);
	return n_ok == argc ? 0 : 1;
}
