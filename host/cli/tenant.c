/* tenant.c: `insula tenant` and `insula key`: blocking, straight to the database as insula_system.
 */
#include "tenant/tenant.h"

#include <getopt.h>
#include <time.h>

#include "cli/cli.h"

struct tenant_args {
	const char *config, *database, *plan, *name, *permissions;
	int json;
	int64_t expires_at;
};

/* "30d", "12h", "90m": from now. 0, or -1. */
static int
tenant_parse_expiry(const char *z, int64_t *ret)
{
	char *end;
	long long n = strtoll(z, &end, 10);
	int64_t unit = strcmp(end, "d") == 0 ? 86400
	    : strcmp(end, "h") == 0          ? 3600
	    : strcmp(end, "m") == 0          ? 60
					     : 0;

	if (end == z || n <= 0 || n > 36500 || unit == 0)
		return -1;
	*ret = time(NULL) + n * unit;
	return 0;
}

static int
tenant_options(int argc, char **argv, struct tenant_args *a, const char *usage)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "database", required_argument, NULL, 'd' },
		{ "plan", required_argument, NULL, 'p' }, { "name", required_argument, NULL, 'n' },
		{ "permissions", required_argument, NULL, 'P' },
		{ "expires", required_argument, NULL, 'e' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	memset(a, 0, sizeof *a);
	a->config = CLI_CONFIG_DEFAULT;
	a->database = getenv("INSULA_DATABASE_URL");
	a->plan = "free";
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c': a->config = optarg; break;
		case 'd': a->database = optarg; break;
		case 'p': a->plan = optarg; break;
		case 'n': a->name = optarg; break;
		case 'P': a->permissions = optarg; break;
		case 'j': a->json = 1; break;
		case 'e':
			if (tenant_parse_expiry(optarg, &a->expires_at) != 0)
				return cli_fail(2, "--expires takes 30d, 12h or 90m") - 1;
			break;
		default: return cli_usage(usage, c != 'h') == 0 ? 0 : 1;
		}
	return -1;
}

static const char *
tenant_field(const json_t *row, const char *key)
{
	const char *z = json_string_value(json_object_get(row, key));

	return z != NULL ? z : "-";
}

/* An object is one row, an array many. */
static void
tenant_print(const json_t *value, const char *const *fields, int as_json)
{
	size_t i, k, n = json_is_array(value) ? json_array_size(value) : 1;
	const json_t *row;

	if (as_json) {
		json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
		return;
	}
	for (i = 0; i < n; i++) {
		row = json_is_array(value) ? json_array_get(value, i) : value;
		for (k = 0; fields[k] != NULL; k++)
			printf("%s%s", k != 0 ? "\t" : "", tenant_field(row, fields[k]));
		putchar('\n');
	}
}

static const char tenant_usage[] =
    "usage: insula tenant create NAME [--plan PLAN]\n"
    "       insula tenant list\n"
    "       insula tenant suspend|resume NAME|ID\n"
    "\n"
    "  --plan PLAN      free (default), or what the deployment's plans are called\n"
    "  --config FILE    where data.pg.url stands (default: " CLI_CONFIG_DEFAULT ")\n"
    "  --database URL   the database itself (default: INSULA_DATABASE_URL)\n"
    "  --json           print JSON\n"
    "\n"
    "Prints one tenant a line: id, name, plan, status.\n";

int
cli_tenant(int argc, char **argv)
{
	static const char *const fields[] = { "tenant_id", "name", "plan", "status", NULL };
	struct tenant_args a;
	struct tenant_db *db;
	char err[256] = "", *url;
	json_t *value = NULL;
	int r = tenant_options(argc, argv, &a, tenant_usage);
	const char *verb, *what;

	if (r >= 0)
		return r == 0 ? 0 : 2;
	verb = optind < argc ? argv[optind] : "";
	what = optind + 1 < argc ? argv[optind + 1] : NULL;
	if ((strcmp(verb, "list") == 0) != (what == NULL) || argc - optind > 2 ||
	    (strcmp(verb, "list") != 0 && strcmp(verb, "create") != 0 &&
		strcmp(verb, "suspend") != 0 && strcmp(verb, "resume") != 0))
		return cli_usage(tenant_usage, 1);
	url = cli_database(a.database, a.config);
	if (url == NULL)
		return 1;
	db = tenant_db_open(url, err);
	free(url);
	if (db == NULL)
		return cli_fail(1, "%s", err);
	if (strcmp(verb, "create") == 0)
		value = tenant_create(db, what, a.plan, err);
	else if (strcmp(verb, "list") == 0)
		value = tenant_list(db, err);
	else
		value = tenant_set_status(
		    db, what, strcmp(verb, "suspend") == 0 ? "suspended" : "active", err);
	tenant_db_close(db);
	if (value == NULL)
		return cli_fail(1, "%s", err);
	tenant_print(value, fields, a.json);
	json_decref(value);
	return 0;
}

static const char key_usage[] =
    "usage: insula key create TENANT --permissions LIST [--name NAME] [--expires 30d]\n"
    "       insula key list [TENANT]\n"
    "       insula key revoke PUBLIC-ID\n"
    "\n"
    "  --permissions LIST  space-separated \"area:verb\"; \"area:*\" and \"*\" match more\n"
    "  --name NAME         what it is for\n"
    "  --expires TIME      30d, 12h, 90m; without it the key does not expire\n"
    "  --config FILE       where data.pg.url stands (default: " CLI_CONFIG_DEFAULT ")\n"
    "  --database URL      the database itself (default: INSULA_DATABASE_URL)\n"
    "  --json              print JSON\n"
    "\n"
    "`create` prints the key, which is shown this once: only a hash of it is stored.\n";

int
cli_key(int argc, char **argv)
{
	static const char *const created[] = { "key", NULL };
	static const char *const fields[] = { "public_id", "tenant", "name", "permissions",
		"expires_at", "revoked_at", NULL };
	struct tenant_args a;
	struct tenant_db *db;
	char err[256] = "", *url;
	json_t *value;
	int r = tenant_options(argc, argv, &a, key_usage), create, list;
	const char *verb, *what;

	if (r >= 0)
		return r == 0 ? 0 : 2;
	verb = optind < argc ? argv[optind] : "";
	what = optind + 1 < argc ? argv[optind + 1] : NULL;
	create = strcmp(verb, "create") == 0;
	list = strcmp(verb, "list") == 0;
	if ((!create && !list && strcmp(verb, "revoke") != 0) || argc - optind > 2 ||
	    (what == NULL && !list))
		return cli_usage(key_usage, 1);
	if (create && a.permissions == NULL)
		return cli_fail(2, "--permissions is missing: a key without any may do nothing");
	url = cli_database(a.database, a.config);
	if (url == NULL)
		return 1;
	db = tenant_db_open(url, err);
	free(url);
	if (db == NULL)
		return cli_fail(1, "%s", err);
	if (create)
		value = key_create(
		    db, what, a.name != NULL ? a.name : "", a.permissions, a.expires_at, err);
	else if (list)
		value = key_list(db, what, err);
	else
		value = key_revoke(db, what, err);
	tenant_db_close(db);
	if (value == NULL)
		return cli_fail(1, "%s", err);
	tenant_print(value, create ? created : fields, a.json);
	json_decref(value);
	return 0;
}
