/*
 * migrate.h: forward-only, checksummed migrations: the host's own (sql/NNNN_name.sql, built into
 * the binary) and those of plugins (ins_plugin.schema). Each runs in its own transaction as the
 * login role of data.pg.url; a changed text of an applied one, a gap, or one that this program does
 * not know, is refused. Table insula_migrations(area, name, sha256, applied_at). Two hosts that
 * migrate at once wait for each other. Blocking; control thread or CLI.
 */
#ifndef HOST_MIGRATE_H
#define HOST_MIGRATE_H

#include <stddef.h>
#include <stdio.h>

struct migrate_set {
	const char *area;          /* "host" or the plugin's name */
	const char *const *schema; /* "0001_name", text, ..., NULL; NULL = none */
};
/* 0, or -1 with a sentence in err. Reports each applied one on progress (may be NULL). dry: only
 * say what would be done. */
int migrate_run(const char *url, const struct migrate_set *sets, size_t n, int dry, FILE *progress,
    char err[512]);
/* 0 when everything is applied; 1 when migrations are missing (named in err); -1 on error. */
int migrate_check(const char *url, const struct migrate_set *sets, size_t n, char err[512]);
extern const char *const migrate_host_schema[];

#endif
