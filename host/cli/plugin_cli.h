/* plugin_cli.h: the verbs of `insula plugin` that need no running host; argv[0] is the verb. */
#ifndef HOST_CLI_PLUGIN_H
#define HOST_CLI_PLUGIN_H

int plugin_new_command(int argc, char **argv);
int plugin_doc_command(int argc, char **argv);

#endif
