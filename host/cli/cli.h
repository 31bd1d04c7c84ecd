/* cli.h: the subcommands. argv[0] is the subcommand's name; each returns an exit status: 0 done,
 * 1 it failed (a sentence is on standard error), 2 wrong usage. */
#ifndef HOST_CLI_H
#define HOST_CLI_H

#include <stdio.h>

#include "plugin/conf.h"

#define CLI_CONFIG_DEFAULT SYSCONFDIR "/insula/insula.yaml"

int cli_serve(int argc, char **argv);
int cli_dev(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_tenant(int argc, char **argv);
int cli_key(int argc, char **argv);
int cli_plugin(int argc, char **argv);
int cli_dlq(int argc, char **argv);
int cli_run(int argc, char **argv); /* client.h */
int cli_ingest(int argc, char **argv);

/* What every cli_load() lays over the configuration from now on: a file of that name in the
 * directory of profiles, or any file when there is a slash in it. NULL: nothing. */
void cli_profile(const char *name);
/* Reads a configuration file; server_opts.load. arg: its path. */
int cli_load(void *arg, struct conf_doc *ret, char err[CONF_ERR_MAX]);
/* "insula: sentence" on standard error; returns status. */
int cli_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Usage on standard output (asked for) or standard error (wrong). */
int cli_usage(const char *text, int wrong);
/* URL of the database: --database, else the configuration's; NULL having said what is missing. */
char *cli_database(const char *given, const char *config);

#endif
