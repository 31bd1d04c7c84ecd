/* plugin.c: `insula plugin`: speaks to the admin socket of a running host, and knows the verbs that
 * need none. */
#include <curl/curl.h>
#include <getopt.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/plugin_cli.h"
#include "plugin/server.h"

#define ANSWER_MAX (4u << 20)

static const char usage[] =
    "usage: insula plugin list [--json]\n"
    "       insula plugin reload [NAME]\n"
    "       insula plugin enable|disable NAME\n"
    "       insula plugin new NAME [--dir DIR]\n"
    "       insula plugin doc NAME|FILE.so [--yaml|--man] [--path DIR]\n"
    "\n"
    "reload without a name reads the configuration again and reloads every plugin whose file "
    "changed;\n"
    "a reload that fails leaves the running ones in place and says why. enable and disable hold "
    "until\n"
    "the next start. new writes a plugin to begin with; doc tells a plugin's options.\n"
    "\n"
    "  --socket PATH  the host's admin socket (default: INSULA_ADMIN, else that of a host started\n"
    "                 without a configured path, or of `insula dev`)\n"
    "  --json         print the host's answer as it is\n";

static size_t
plugin_collect(char *p, size_t size, size_t n, void *arg)
{
	struct str *s = arg;

	str_add(s, p, size * n);
	return s->overflow ? 0 : size * n;
}

/* The first that exists of where a host's socket is by default. */
static const char *
plugin_socket(char buf[4200])
{
	char dir[4096];
	const char *given = getenv("INSULA_ADMIN"), *xdg = getenv("XDG_STATE_HOME"),
		   *home = getenv("HOME");

	if (given != NULL)
		return given;
	server_default_state_dir(dir);
	snprintf(buf, 4200, "%s/admin.sock", dir);
	if (access(buf, F_OK) == 0)
		return buf;
	if (geteuid() == 0)
		snprintf(buf, 4200, "/var/lib/insula-dev/host/admin.sock");
	else if (xdg != NULL && *xdg == '/')
		snprintf(buf, 4200, "%s/insula/host/admin.sock", xdg);
	else
		snprintf(
		    buf, 4200, "%s/.local/state/insula/host/admin.sock", home != NULL ? home : "");
	return buf;
}

static json_t *
plugin_call(const char *socket, const char *method, const char *path)
{
	char error[CURL_ERROR_SIZE] = "", *url = base_printf("http://insula%s", path);
	CURL *curl = curl_easy_init();
	json_t *answer = NULL;
	struct str s;
	CURLcode r;
	long status = 0;

	AN(curl);
	str_init(&s, ANSWER_MAX);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, plugin_collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &s);
	r = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (r != CURLE_OK) {
		cli_fail(1, "%s: %s (is a host running? --socket names its admin socket)", socket,
		    error[0] != '\0' ? error : curl_easy_strerror(r));
	} else {
		answer = json_loadb(s.p != NULL ? s.p : "", s.n, 0, NULL);
		if (status != 200) {
			const char *m = json_string_value(
			    json_object_get(json_object_get(answer, "error"), "message"));
			cli_fail(1, "%s", m != NULL ? m : "the host gave no reason");
			json_decref(answer);
			answer = NULL;
		}
	}
	str_fini(&s);
	curl_easy_cleanup(curl);
	free(url);
	return answer;
}

static void
plugin_print_list(const json_t *answer)
{
	const json_t *p, *lifetimes = json_object_get(answer, "lifetimes");
	size_t i;

	json_array_foreach(json_object_get(answer, "plugins"), i, p)
	{
		const char *why = json_string_value(json_object_get(p, "why"));
		const char *version = json_string_value(json_object_get(p, "version"));
		const char *sha = json_string_value(json_object_get(p, "sha256"));
		const char *caps = json_string_value(json_object_get(p, "caps"));

		printf("%-18s %-9s %-8s %-13s %s%s\n",
		    json_string_value(json_object_get(p, "name")),
		    json_string_value(json_object_get(p, "state")), version != NULL ? version : "-",
		    sha != NULL ? sha : "-", caps != NULL ? caps : "", why != NULL ? why : "");
	}
	json_array_foreach(json_object_get(lifetimes, "generations"), i, p)
	{
		if (json_is_true(json_object_get(p, "serving")))
			continue;
		printf("generation %lld waits for %zu tasks\n",
		    (long long)json_integer_value(json_object_get(p, "id")),
		    json_array_size(json_object_get(p, "tasks")));
	}
}

int
cli_plugin(int argc, char **argv)
{
	static const struct option options[] = { { "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *socket = NULL, *verb, *name, *note;
	char buf[4200], path[300];
	int c, as_json = 0, list;
	json_t *answer;

	if (argc > 1 && strcmp(argv[1], "new") == 0)
		return plugin_new_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "doc") == 0)
		return plugin_doc_command(argc - 1, argv + 1);
	while ((c = getopt_long(argc, argv, "s:jh", options, NULL)) != -1)
		switch (c) {
		case 's': socket = optarg; break;
		case 'j': as_json = 1; break;
		default: return cli_usage(usage, c != 'h');
		}
	verb = optind < argc ? argv[optind] : "";
	name = optind + 1 < argc ? argv[optind + 1] : NULL;
	list = strcmp(verb, "list") == 0;
	if (argc - optind > 2 || (list && name != NULL) ||
	    (!list && strcmp(verb, "reload") != 0 &&
		((strcmp(verb, "enable") != 0 && strcmp(verb, "disable") != 0) || name == NULL)))
		return cli_usage(usage, 1);
	if (name != NULL && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return cli_fail(2, "a plugin's name has a-z, 0-9 and _");
	if (list)
		snprintf(path, sizeof path, "/plugins");
	else if (name == NULL)
		snprintf(path, sizeof path, "/reload");
	else
		snprintf(path, sizeof path, "/plugins/%.64s/%s", name, verb);
	if (socket == NULL)
		socket = plugin_socket(buf);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	answer = plugin_call(socket, list ? "GET" : "POST", path);
	if (answer != NULL && as_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (answer != NULL && list) {
		plugin_print_list(answer);
	} else if (answer != NULL) {
		note = json_string_value(json_object_get(answer, "note"));
		printf("generation %lld serves%s%s\n",
		    (long long)json_integer_value(json_object_get(answer, "generation")),
		    note != NULL && *note ? "; " : "", note != NULL ? note : "");
	}
	c = answer == NULL;
	json_decref(answer);
	curl_global_cleanup();
	return c;
}
