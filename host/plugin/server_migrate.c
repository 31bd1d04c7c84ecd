/* server_migrate.c: the migrations of the host and of the plugins that a configuration names, for
 * the CLI, without a host. One thread. */
#include <errno.h>
#include <unistd.h>

#include "data/migrate.h"
#include "plugin/server_impl.h"

int
server_scratch(char dir[SERVER_SCRATCH_MAX], char err[CONF_ERR_MAX])
{
	const char *tmp = getenv("TMPDIR");
	char why[256];

	if (snprintf(dir, SERVER_SCRATCH_MAX, "%s/insula.XXXXXX", tmp != NULL ? tmp : "/tmp") >=
		SERVER_SCRATCH_MAX ||
	    mkdtemp(dir) == NULL)
		return server_fail(err, "%s: %s", dir, strerror(errno));
	if (stage_init(dir, why) == 0)
		return 0;
	rmdir(dir);
	return server_fail(err, "%s", why);
}

void
server_scratch_end(const char *dir)
{
	stage_fini();
	rmdir(dir);
}

int
server_migrate(struct conf *conf, int dry, FILE *progress, char err[CONF_ERR_MAX])
{
	struct migrate_set sets[CONF_PLUGINS_MAX + 1];
	struct image *images[CONF_PLUGINS_MAX];
	size_t i, n = 0, n_images = 0;
	char dir[SERVER_SCRATCH_MAX], why[512];
	int ret = 0;

	if (conf->pg_url == NULL)
		return server_fail(err, "data.pg.url is not set: there is no database to migrate");
	if (server_scratch(dir, err) != 0)
		return -1;
	sets[n].area = "host";
	sets[n++].schema = migrate_host_schema;
	for (i = 0; ret == 0 && i < conf->n_plugins; i++) {
		struct image *im = plugin_stage(conf, &conf->plugins[i], err);

		if (im == NULL && conf->plugins[i].required) {
			ret = -1;
		} else if (im != NULL) {
			images[n_images++] = im;
			if (im->desc.schema != NULL) {
				sets[n].area = im->name;
				sets[n++].schema = im->desc.schema;
			}
		}
	}
	if (ret == 0 && migrate_run(conf->pg_url, sets, n, dry, progress, why) != 0)
		ret = server_fail(err, "%.500s", why);
	while (n_images > 0)
		stage_close(images[--n_images]);
	server_scratch_end(dir);
	return ret;
}
