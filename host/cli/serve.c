/* serve.c: `insula serve` and `insula check`. */
#include <getopt.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "cli/cli.h"
#include "loop/loop.h"
#include "plugin/server.h"
#include "plugin/trace.h"
#include "tenant/tenant.h"
#include "watch.h"

static const char serve_usage[] =
    "usage: insula serve [--config FILE] [--profile NAME] [--no-watch]\n"
    "\n"
    "Runs the host in the foreground until SIGTERM or SIGINT, which let work in flight end first.\n"
    "SIGHUP reads the configuration again and reloads every plugin whose file changed.\n"
    "\n"
    "  --config FILE  the configuration (default: " CLI_CONFIG_DEFAULT ")\n"
    "  --profile NAME lays etc/profiles/NAME.yaml over it: all, gateway, orchestrator; or a file\n"
    "                 with a slash in its name\n"
    "  --no-watch     without the parent process that starts a crashed host again\n";

static int
serve_host(void *arg)
{
	struct server_opts opts = {
		.load = cli_load, .arg = arg, .signals = 1, .quarantined = watch_quarantined
	};
	char err[CONF_ERR_MAX];

	watch_child_init();
	if (server_start(&opts, err) != 0)
		return cli_fail(1, "%s", err);
	log_event(INS_LOG_INFO, "host.serving",
	    json_pack("{s:i, s:s, s:i}", "port", (int)server_port(0), "admin",
		server_admin_socket(), "loops", (int)loop_count()));
	server_run();
	return 0;
}

/* What must be known before the host starts: the form of the log, and where crashes are noted. */
static int
serve(const char *config, int watch)
{
	char err[CONF_ERR_MAX], dir[4096];
	struct conf_doc doc;
	struct conf *conf;

	if (cli_load((void *)(uintptr_t)config, &doc, err) != 0 ||
	    (conf = conf_new(&doc, err)) == NULL)
		return cli_fail(1, "%s", err);
	log_init(STDERR_FILENO, conf->log_level, conf->log_text);
	if (conf->state_dir != NULL)
		snprintf(dir, sizeof dir, "%s", conf->state_dir);
	else
		server_default_state_dir(dir);
	conf_unref(conf);
	return watch ? watch_run(serve_host, (void *)(uintptr_t)config, dir)
		     : serve_host((void *)(uintptr_t)config);
}

int
cli_serve(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "profile", required_argument, NULL, 'p' }, { "no-watch", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	const char *config = CLI_CONFIG_DEFAULT;
	int c, watch = 1;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c': config = optarg; break;
		case 'p': cli_profile(optarg); break;
		case 'n': watch = 0; break;
		default: return cli_usage(serve_usage, c != 'h');
		}
	if (optind != argc)
		return cli_usage(serve_usage, 1);
	return serve(config, watch);
}

static const char check_usage[] = "usage: insula check [--profile NAME] [FILE]\n"
				  "\n"
				  "Reads a configuration (default: " CLI_CONFIG_DEFAULT
				  ") and loads its plugins as far as their\n"
				  "init, without a port, a database or an event bus. Says what is "
				  "wrong with file, line and key.\n";

int
cli_check(int argc, char **argv)
{
	static const struct option options[] = { { "profile", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	static const struct gen_hooks hooks = { server_routes, NULL };
	char err[CONF_ERR_MAX], dir[SERVER_SCRATCH_MAX];
	struct conf_doc doc;
	struct conf *conf;
	const char *file;
	int ret, c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (c == 'p')
			cli_profile(optarg);
		else
			return cli_usage(check_usage, c != 'h');
	if (argc - optind > 1)
		return cli_usage(check_usage, 1);
	file = optind < argc ? argv[optind] : CLI_CONFIG_DEFAULT;
	log_init(STDERR_FILENO, INS_LOG_WARN, 1);
	if (cli_load((void *)(uintptr_t)file, &doc, err) != 0 ||
	    (conf = conf_new(&doc, err)) == NULL)
		return cli_fail(1, "%s", err);
	if (server_scratch(dir, err) != 0) {
		conf_unref(conf);
		return cli_fail(1, "%s", err);
	}
	loop_init((unsigned)conf->loops);
	plugin_init();
	gen_init(&hooks);
	ret = server_tls_check(conf, err);
	if (ret == 0)
		ret = gen_check(conf, err);
	if (ret == 0)
		printf("%s: good, %zu plugins\n", file, conf->n_plugins);
	else
		cli_fail(1, "%s", err);
	loop_stop_all();
	server_scratch_end(dir);
	conf_unref(conf);
	return ret == 0 ? 0 : 1;
}
