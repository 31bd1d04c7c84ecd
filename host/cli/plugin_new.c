/* plugin_new.c: `insula plugin new`: writes a plugin to begin with, from sdk/template. */
#include <errno.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/plugin_cli.h"

#define NAME_MAX_BYTES 40
#define FILE_BYTES_MAX (64u << 10)
#define PLACEHOLDER "yourplugin"

static const struct {
	const char *name, *text;
} files[] = {
#include "sdk/template.inc"
};

static const char usage[] =
    "usage: insula plugin new NAME [--dir DIR]\n"
    "\n"
    "Writes DIR/NAME: the source of a plugin that works, its test on the mock host, a README, and\n"
    "what builds it, with make alone or with autoconf. DIR is the current directory.\n";

/* Why the name will not do; NULL when it will. It becomes part of names of C, of files and of
 * routes. */
static const char *
wrong_with(const char *name)
{
	static char text[200];
	size_t n = strlen(name), ok;

	if (n == 0 || n > NAME_MAX_BYTES)
		return "a plugin's name has 1 to 40 characters";
	ok = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
	if (name[ok] == '-')
		return "a plugin's name has a-z, 0-9 and _; write _ for -";
	if (name[ok] >= 'A' && name[ok] <= 'Z')
		return "a plugin's name is lower case: a-z, 0-9 and _";
	if (name[ok] != '\0') {
		snprintf(text, sizeof text,
		    "a plugin's name has a-z, 0-9 and _, so not the %zu%s character of \"%.60s\"",
		    ok + 1,
		    ok == 0       ? "st"
			: ok == 1 ? "nd"
			: ok == 2 ? "rd"
				  : "th",
		    name);
		return text;
	}
	if (name[0] < 'a')
		return "a plugin's name begins with a letter";
	return NULL;
}

/* The text with the placeholder replaced. */
static void
fill(struct str *s, const char *text, const char *name)
{
	const char *p;

	while ((p = strstr(text, PLACEHOLDER)) != NULL) {
		str_add(s, text, (size_t)(p - text));
		str_addz(s, name);
		text = p + strlen(PLACEHOLDER);
	}
	str_addz(s, text);
}

static int
write_file(const char *dir, const char *file, const char *text, const char *name)
{
	struct str path, body;
	FILE *f;
	int ok;

	str_init(&path, 4096);
	str_addf(&path, "%s/%s", dir, strcmp(file, "gitignore") == 0 ? "." : "");
	fill(&path, file, name);
	str_init(&body, FILE_BYTES_MAX);
	fill(&body, text, name);
	f = path.overflow || body.overflow ? NULL : fopen(path.p, "wx");
	ok = f != NULL && fwrite(body.p, 1, body.n, f) == body.n;
	if (f != NULL && fclose(f) != 0)
		ok = 0;
	if (!ok)
		cli_fail(1, "%s: %s", path.p, strerror(errno));
	str_fini(&path);
	str_fini(&body);
	return ok ? 0 : -1;
}

int
plugin_new_command(int argc, char **argv)
{
	static const struct option options[] = { { "dir", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	const char *dir = ".", *name, *why;
	char path[4096];
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "d:h", options, NULL)) != -1)
		switch (c) {
		case 'd': dir = optarg; break;
		default: return cli_usage(usage, c != 'h');
		}
	if (argc - optind != 1)
		return cli_usage(usage, 1);
	name = argv[optind];
	why = wrong_with(name);
	if (why != NULL)
		return cli_fail(2, "%s", why);
	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
		return cli_fail(2, "%.60s...: the path is too long", dir);
	if (mkdir(path, 0777) != 0) {
		if (errno == EEXIST)
			return cli_fail(1,
			    "%s is there already, and is left as it is; choose another name or "
			    "--dir",
			    path);
		return cli_fail(1, "%s: %s", path, strerror(errno));
	}
	for (i = 0; i < NELEM(files); i++)
		if (write_file(path, files[i].name, files[i].text, name) != 0)
			return 1;
	printf("%s: a plugin that greets. Next: make -C %s check\n", path, path);
	return 0;
}
