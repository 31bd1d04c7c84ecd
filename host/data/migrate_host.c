/* migrate_host.c: the host's own migrations, as texts built from sql/. A new one is added at the
 * end; an applied one is never changed. */
#include "data/migrate.h"

static const char sql_0001_core[] =
#include "sql/0001_core.inc"
    ;
static const char sql_0002_no_temporary[] =
#include "sql/0002_no_temporary.inc"
    ;

const char *const migrate_host_schema[] = { "0001_core", sql_0001_core, "0002_no_temporary",
	sql_0002_no_temporary, NULL };
