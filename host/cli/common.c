/* common.c: what the subcommands share. */
#include "cli/cli.h"

#include <stdarg.h>
#include <unistd.h>

int
cli_fail(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("insula: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int
cli_usage(const char *text, int wrong)
{
	fputs(text, wrong ? stderr : stdout);
	return wrong ? 2 : 0;
}

static const char *profile;

void
cli_profile(const char *name)
{
	profile = name;
}

int
cli_load(void *arg, struct conf_doc *ret, char err[CONF_ERR_MAX])
{
	struct conf_doc over;
	char *file;
	int r;

	if (conf_doc_load(ret, arg, err) != 0)
		return -1;
	if (profile == NULL)
		return 0;
	file = strchr(profile, '/') != NULL ? base_strdup(profile)
					    : base_printf(PROFILESDIR "/%s.yaml", profile);
	r = conf_doc_load(&over, file, err);
	free(file);
	if (r != 0) {
		conf_doc_fini(ret);
		return -1;
	}
	conf_doc_merge(ret, &over);
	return 0;
}

char *
cli_database(const char *given, const char *config)
{
	char err[CONF_ERR_MAX], *url = NULL;
	struct conf_doc doc;
	struct conf *conf;

	if (given != NULL)
		return base_strdup(given);
	if (cli_load((void *)(uintptr_t)config, &doc, err) != 0 ||
	    (conf = conf_new(&doc, err)) == NULL) {
		cli_fail(1, "%s", err);
		cli_fail(
		    1, "name the database with --database URL, or a configuration with --config");
		return NULL;
	}
	if (conf->pg_url != NULL)
		url = base_strdup(conf->pg_url);
	else
		cli_fail(1, "%s: data.pg.url is not set", config);
	conf_unref(conf);
	return url;
}
