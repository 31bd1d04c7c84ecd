/* migrate.c: `insula migrate` and `insula dlq`. */
#include <getopt.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "data/bus.h"
#include "plugin/server.h"

static const char migrate_usage[] =
    "usage: insula migrate [--config FILE] [--dry-run]\n"
    "\n"
    "Applies the migrations of the host and of every plugin of the configuration that are missing "
    "in\n"
    "data.pg.url. Forward only; an applied one whose text has changed is refused.\n"
    "\n"
    "  --config FILE  the configuration (default: " CLI_CONFIG_DEFAULT ")\n"
    "  --dry-run      only say what would be done\n";

int
cli_migrate(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "dry-run", no_argument, NULL, 'n' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *config = CLI_CONFIG_DEFAULT;
	char err[CONF_ERR_MAX];
	struct conf_doc doc;
	struct conf *conf;
	int c, dry = 0, ret;

	while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1)
		switch (c) {
		case 'c': config = optarg; break;
		case 'n': dry = 1; break;
		default: return cli_usage(migrate_usage, c != 'h');
		}
	if (optind != argc)
		return cli_usage(migrate_usage, 1);
	log_init(STDERR_FILENO, INS_LOG_WARN, 1);
	if (cli_load((void *)(uintptr_t)config, &doc, err) != 0 ||
	    (conf = conf_new(&doc, err)) == NULL)
		return cli_fail(1, "%s", err);
	ret = server_migrate(conf, dry, stdout, err);
	conf_unref(conf);
	return ret == 0 ? 0 : cli_fail(1, "%s", err);
}

static const char dlq_usage[] =
    "usage: insula dlq list [--config FILE | --nats URL]\n"
    "       insula dlq redrive EVENT-ID|all [--config FILE | --nats URL]\n"
    "\n"
    "Lists the events that every attempt of a handler failed on, with the error and the tries, "
    "and\n"
    "puts them back into the stream that they came from.\n";

int
cli_dlq(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "nats", required_argument, NULL, 'u' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *config = CLI_CONFIG_DEFAULT, *url = NULL;
	char err[CONF_ERR_MAX];
	struct conf_doc doc;
	struct conf *conf = NULL;
	int c, ret;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c': config = optarg; break;
		case 'u': url = optarg; break;
		default: return cli_usage(dlq_usage, c != 'h');
		}
	argc -= optind;
	argv += optind;
	if (!(argc == 1 && strcmp(argv[0], "list") == 0) &&
	    !(argc == 2 && strcmp(argv[0], "redrive") == 0))
		return cli_usage(dlq_usage, 1);
	log_init(STDERR_FILENO, INS_LOG_WARN, 1);
	if (url == NULL) {
		if (cli_load((void *)(uintptr_t)config, &doc, err) != 0 ||
		    (conf = conf_new(&doc, err)) == NULL)
			return cli_fail(1, "%s", err);
		url = conf->nats_url;
	}
	if (url == NULL)
		ret = cli_fail(1, "%s: data.nats.url is not set", config);
	else
		ret = argc == 1 ? bus_dlq_list(url) : bus_dlq_redrive(url, argv[1]);
	if (conf != NULL)
		conf_unref(conf);
	return ret;
}
