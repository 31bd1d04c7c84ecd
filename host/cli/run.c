/*
 * run.c: `insula run WORKFLOW TEXT`: asks a workflow, prints the answer as it comes, then its
 * sources.
 *
 * It is a streamed chat completion whose model is the workflow, so it shows just what any OpenAI
 * client would get.
 */
#include <getopt.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/client.h"

struct answer {
	json_t *citations, *error;
	int done, text;
};

static const char usage[] = "usage: insula run [--url URL] [--key KEY] [--json] WORKFLOW TEXT\n"
			    "\n"
			    "Starts a run of a workflow with a text as its input, prints the "
			    "answer while it is made, then the\n"
			    "passages that it cites.\n"
			    "\n"
			    "  --url URL   the host (default: INSULA_URL)\n"
			    "  --key KEY   an API key with chat:write (default: INSULA_KEY)\n"
			    "  --json      print the whole answer as JSON, once it is there\n"
			    "\n"
			    "Exits 0 after an answer, 1 when there was none.\n";

static void
run_citations(const json_t *citations)
{
	size_t i;
	json_t *c;

	if (json_array_size(citations) > 0)
		printf("\n");
	json_array_foreach(citations, i, c)
	{
		const char *title = json_string_value(json_object_get(c, "title"));
		json_t *marker = json_object_get(c, "marker");

		printf("  [%lld] %s, characters %lld to %lld, document %s\n",
		    json_is_integer(marker) ? (long long)json_integer_value(marker)
					    : (long long)i + 1,
		    title != NULL && *title ? title : "(untitled)",
		    (long long)json_integer_value(json_object_get(c, "char_start")),
		    (long long)json_integer_value(json_object_get(c, "char_end")),
		    json_string_value(json_object_get(c, "document_id")));
	}
}

static int
run_chunk(void *arg, const char *p, size_t n)
{
	struct answer *a = arg;
	json_t *chunk, *choice, *delta, *citations;
	const char *text;

	if (n == 6 && memcmp(p, "[DONE]", 6) == 0) {
		a->done = 1;
		return 0;
	}
	chunk = json_loadb(p, n, 0, NULL);
	if (json_object_get(chunk, "error") != NULL)
		a->error = json_incref(json_object_get(chunk, "error"));
	choice = json_array_get(json_object_get(chunk, "choices"), 0);
	delta = json_object_get(choice, "delta");
	text = json_string_value(json_object_get(delta, "content"));
	if (text != NULL && *text) {
		fputs(text, stdout);
		fflush(stdout);
		a->text = 1;
	}
	citations = json_object_get(delta, "citations");
	if (citations == NULL)
		citations = json_object_get(chunk, "citations");
	if (json_is_array(citations)) {
		json_decref(a->citations);
		a->citations = json_incref(citations);
	}
	json_decref(chunk);
	return 0;
}

static int
run_streamed(struct client *c, const json_t *request)
{
	struct answer a = { 0 };
	const char *message;
	int ok;

	ok = client_stream(c, "/v1/chat/completions", request, run_chunk, &a) == 0;
	if (a.text)
		printf("\n");
	run_citations(a.citations);
	if (a.error != NULL) {
		message = json_string_value(json_object_get(a.error, "message"));
		fprintf(stderr, "insula: the run failed: %s\n",
		    message != NULL ? message : "no reason given");
	} else if (ok && !a.done) {
		fprintf(stderr, "insula: the answer was cut off\n");
	}
	ok = ok && a.done && a.error == NULL;
	json_decref(a.citations);
	json_decref(a.error);
	return ok ? 0 : 1;
}

static int
run_whole(struct client *c, const json_t *request)
{
	json_t *answer = client_call(c, "POST", "/v1/chat/completions", request, NULL);

	if (answer == NULL)
		return 1;
	json_dumpf(answer, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(answer);
	return 0;
}

int
cli_run(int argc, char **argv)
{
	static const struct option options[] = { { "url", 1, NULL, 'u' }, { "key", 1, NULL, 'k' },
		{ "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	const char *url = NULL, *key = NULL;
	int opt, json = 0, status;
	struct client client;
	json_t *request;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'u': url = optarg; break;
		case 'k': key = optarg; break;
		case 'j': json = 1; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (argc - optind != 2) {
		fputs(usage, stderr);
		return 2;
	}
	if (client_init(&client, url, key) != 0)
		return 2;
	request = json_pack("{s:s, s:b, s:[{s:s, s:s}]}", "model", argv[optind], "stream", !json,
	    "messages", "role", "user", "content", argv[optind + 1]);
	if (request == NULL) {
		fprintf(stderr, "insula: the text is not valid UTF-8\n");
		client_fini(&client);
		return 2;
	}
	status = json ? run_whole(&client, request) : run_streamed(&client, request);
	json_decref(request);
	client_fini(&client);
	return status;
}
