/* main.c: finds the subcommand. */
#include <signal.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
	const char *name, *what;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "serve", "run the host", cli_serve },
	{ "dev", "run the host with a private PostgreSQL, NATS and Redis", cli_dev },
	{ "check", "say what is wrong with a configuration", cli_check },
	{ "migrate", "bring the database's tables up to date", cli_migrate },
	{ "tenant", "create, list, suspend and resume tenants", cli_tenant },
	{ "key", "create, list and revoke API keys", cli_key },
	{ "plugin", "list, enable, disable and reload plugins of a running host", cli_plugin },
	{ "dlq", "list and redrive events that no handler could take", cli_dlq },
	{ "run", "ask a workflow and print its answer", cli_run },
	{ "ingest", "put documents into a tenant", cli_ingest },
};

static int
usage(FILE *to)
{
	size_t i;

	fputs("usage: insula COMMAND [OPTION...]\n\n", to);
	for (i = 0; i < NELEM(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].what);
	fputs("\n`insula COMMAND --help` tells the options of a command; `insula --version` the "
	      "version.\n",
	    to);
	return to == stdout ? 0 : 2;
}

int
main(int argc, char **argv)
{
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts("insula " INS_HOST_VERSION);
		return 0;
	}
	for (i = 0; i < NELEM(commands); i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "insula: there is no command %s\n\n", argv[1]);
	return usage(stderr);
}
