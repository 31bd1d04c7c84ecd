/*
 * plugin_doc.c: `insula plugin doc`: what a plugin says of itself, from its descriptor and its
 * option table: for a person, as a sample configuration, or as a manual page.
 *
 * The object is mapped into this process, after its note was read; its init does not run.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/cli.h"
#include "cli/plugin_cli.h"
#include "plugin/abi.h"
#include "plugin/api.h"
#include "plugin/conf.h"

#define FILE_MAX (64u << 20)
#define DEPTH_MAX 8

static const char usage[] =
    "usage: insula plugin doc NAME|FILE.so [--yaml|--man] [--path DIR]\n"
    "\n"
    "Tells a plugin's version, capabilities, needs and options.\n"
    "\n"
    "  --yaml      as a sample configuration, every option with its default\n"
    "  --man       as a manual page (section 5)\n"
    "  --path DIR  where NAME.so is (default: " PLUGINDIR ")\n";

static char *
read_all(const char *file, size_t *ret_n)
{
	FILE *f = fopen(file, "re");
	char *p = NULL;
	size_t n = 0, got;

	if (f == NULL)
		return NULL;
	do {
		p = base_realloc(p, n + 65536);
		got = fread(p + n, 1, 65536, f);
		n += got;
	} while (got > 0 && n <= FILE_MAX);
	fclose(f);
	*ret_n = n;
	return p;
}

/* 0 and the descriptor; the object stays mapped, since the table is in it. */
static int
load(const char *file, ins_plugin *ret)
{
	static ins_api api;
	char why[ABI_ERR_MAX];
	ins_entry_fn entry;
	size_t n = 0;
	char *bytes = read_all(file, &n);
	void *image;
	int r;

	if (bytes == NULL)
		return cli_fail(1, "%s: cannot be read", file);
	r = abi_note(bytes, n, why);
	free(bytes);
	if (r != 0)
		return cli_fail(1, "%s: %s", file, why);
	image = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (image == NULL)
		return cli_fail(1, "%s", dlerror());
	*(void **)&entry = dlsym(image, "ins_plugin_entry");
	if (entry == NULL)
		return cli_fail(1, "%s: it does not export ins_plugin_entry", file);
	api_core_fill(&api);
	if (abi_descriptor(entry(&api), ret, why) != 0)
		return cli_fail(1, "%s: %s", file, why);
	return 0;
}

static const char *
type_name(const ins_option *o)
{
	switch (o->type) {
	case INS_OPT_T_STR: return "text";
	case INS_OPT_T_INT: return "whole number";
	case INS_OPT_T_NUM: return "number";
	case INS_OPT_T_BOOL: return "true or false";
	case INS_OPT_T_MS: return "duration";
	case INS_OPT_T_SIZE: return "size";
	case INS_OPT_T_ENUM: return o->choices;
	case INS_OPT_T_RATE: return "rate";
	case INS_OPT_T_SECRET: return "secret: ${NAME} or file:/path";
	case INS_OPT_T_LIST: return "list of texts";
	case INS_OPT_T_OBJECT: return "map";
	case INS_OPT_T_OBJECTS: return "list of maps";
	default: return "any value";
	}
}

static int
is_optional(const ins_option *o)
{
	return o->dflt != NULL || o->type == INS_OPT_T_JSON || o->type == INS_OPT_T_OBJECT ||
	    o->type == INS_OPT_T_OBJECTS;
}

/* "whole number, 1 .. 9; default 5", or "...; required". */
static void
facts(FILE *f, const ins_option *o)
{
	char range[96];

	fputs(type_name(o), f);
	if (conf_range(o, range))
		fprintf(f, ", %s", range);
	if (!is_optional(o))
		fputs("; required", f);
	else if (o->dflt != NULL && *o->dflt != '\0')
		fprintf(f, "; default %s", o->dflt);
}

/* ---- for a person ---- */

static void
text_options(const ins_option *o, int depth)
{
	for (; o != NULL && o->type != INS_OPT_T_END; o++) {
		printf("%*s%-*s ", 2 + 2 * depth, "", 20 - 2 * depth, o->name);
		facts(stdout, o);
		printf("\n%*s%s\n", 23, "", o->doc);
		if (o->table != NULL && depth < DEPTH_MAX)
			text_options(o->table, depth + 1);
	}
}

static void
as_text(const ins_plugin *d)
{
	const ins_need *n;
	char caps[128];

	printf("%s %s: %s\n", d->name, d->version, d->summary);
	conf_cap_names(d->caps, caps);
	if (caps[0] != '\0')
		printf("capabilities: %s\n", caps);
	for (n = d->needs; n != NULL && n->iface != NULL; n++)
		printf("needs: %s%s%s\n", n->iface, n->flags & INS_MANY ? ", several" : "",
		    n->flags & INS_OPTIONAL ? ", or none" : "");
	puts(d->options != NULL ? "options:" : "it has no options");
	text_options(d->options, 0);
}

/* ---- a sample ---- */

static void
yaml_value(const ins_option *o)
{
	int quote = (o->type == INS_OPT_T_STR || o->type == INS_OPT_T_SECRET) &&
	    (o->dflt == NULL || *o->dflt == '\0' || strpbrk(o->dflt, ":#{}[]&*!|>'\"%@`,") != NULL);

	if (o->type == INS_OPT_T_LIST)
		printf(" [%s]\n", o->dflt != NULL ? o->dflt : "");
	else if (o->type == INS_OPT_T_OBJECTS)
		puts(" []");
	else if (o->type == INS_OPT_T_JSON)
		puts("");
	else if (quote)
		printf(" \"%s\"\n", o->dflt != NULL ? o->dflt : "");
	else
		printf(" %s\n", o->dflt != NULL ? o->dflt : "");
}

static void
yaml_options(const ins_option *o, int indent, int off)
{
	for (; o->type != INS_OPT_T_END; o++) {
		/* An entry of a list, and what has no value to show, are comments. */
		int comment = off || o->type == INS_OPT_T_JSON || !is_optional(o) ||
		    (o->type == INS_OPT_T_OBJECT && indent > 40);

		printf("%*s# %s (", indent, "", o->doc);
		facts(stdout, o);
		puts(")");
		printf("%*s%s%s:", indent, "", comment ? "# " : "", o->name);
		if (o->type == INS_OPT_T_OBJECT) {
			puts("");
			yaml_options(o->table, indent + 2, comment);
		} else {
			yaml_value(o);
		}
		if (o->type == INS_OPT_T_OBJECTS && indent <= 40) {
			printf("%*s# each:\n", indent, "");
			yaml_options(o->table, indent + 2, 1);
		}
	}
}

static void
as_yaml(const ins_plugin *d)
{
	printf("# %s %s: %s\nplugins:\n  %s:\n", d->name, d->version, d->summary, d->name);
	if (d->options != NULL && d->options->type != INS_OPT_T_END) {
		puts("    config:");
		yaml_options(d->options, 6, 0);
	}
}

/* ---- a manual page ---- */

/* Text of others inside mdoc: no line may begin with a request, no backslash is an escape. */
static void
man_text(const char *z)
{
	if (*z == '.' || *z == '\'')
		fputs("\\&", stdout);
	for (; *z != '\0'; z++)
		if (*z == '\\')
			fputs("\\e", stdout);
		else
			putchar(*z);
}

static void
man_options(const ins_option *o, int depth)
{
	char *p;
	size_t n;
	FILE *f;

	puts(".Bl -tag -width Ds");
	for (; o->type != INS_OPT_T_END; o++) {
		printf(".It Cm %s\n", o->name);
		man_text(o->doc);
		puts("");
		f = open_memstream(&p, &n);
		AN(f);
		facts(f, o);
		fclose(f);
		putchar('(');
		man_text(p);
		puts(").");
		free(p);
		if (o->table != NULL && depth < DEPTH_MAX)
			man_options(o->table, depth + 1);
	}
	puts(".El");
}

static void
as_man(const ins_plugin *d)
{
	const ins_need *n;
	char caps[128];

	printf(".Dd $Mdocdate$\n.Dt INSULA-%s 5\n.Os\n.Sh NAME\n.Nm insula-%s\n.Nd ", d->name,
	    d->name);
	man_text(d->summary);
	printf("\n.Sh DESCRIPTION\nThe plugin\n.Cm %s\nof\n.Xr insula 8 ,\nversion %s.\n", d->name,
	    d->version);
	conf_cap_names(d->caps, caps);
	if (caps[0] != '\0')
		printf("It asks for the capabilities %s.\n", caps);
	for (n = d->needs; n != NULL && n->iface != NULL; n++)
		printf("It needs the service %s%s%s.\n", n->iface,
		    n->flags & INS_MANY ? ", of any number of plugins" : "",
		    n->flags & INS_OPTIONAL ? ", if there is one" : "");
	puts(".Sh OPTIONS");
	if (d->options == NULL || d->options->type == INS_OPT_T_END) {
		puts("It has no options.");
	} else {
		printf("They stand in the configuration under\n.Cm plugins.%s.config .\n", d->name);
		man_options(d->options, 0);
	}
	puts(".Sh SEE ALSO\n.Xr insula.yaml 5 ,\n.Xr insula 8");
}

int
plugin_doc_command(int argc, char **argv)
{
	static const struct option options[] = { { "yaml", no_argument, NULL, 'y' },
		{ "man", no_argument, NULL, 'm' }, { "path", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	const char *dir = PLUGINDIR, *name;
	int c, form = 't';
	char file[4096];
	ins_plugin d;

	while ((c = getopt_long(argc, argv, "ymp:h", options, NULL)) != -1)
		switch (c) {
		case 'y':
		case 'm': form = c; break;
		case 'p': dir = optarg; break;
		default: return cli_usage(usage, c != 'h');
		}
	if (argc - optind != 1)
		return cli_usage(usage, 1);
	name = argv[optind];
	if (strchr(name, '/') != NULL ||
	    (strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".so") == 0))
		snprintf(file, sizeof file, "%s%s", strchr(name, '/') != NULL ? "" : "./", name);
	else
		snprintf(file, sizeof file, "%s/%s.so", dir, name);
	if (access(file, R_OK) != 0)
		return cli_fail(
		    1, "%s: there is no such file (--path says where plugins are)", file);
	if (load(file, &d) != 0)
		return 1;
	if (form == 'y')
		as_yaml(&d);
	else if (form == 'm')
		as_man(&d);
	else
		as_text(&d);
	return 0;
}
