/* api_db.c: SQL inside the tenant of the ctx. A plugin can name neither a tenant nor a role here.
 */
#include "data/pg.h"
#include "plugin/api.h"

static const ins_stmt *
db_stmt(ins_host *host, const char *sql)
{
	struct instance *inst = plugin_of(host);
	struct plugin_stmt *s;
	struct ins_stmt *stmt;
	char err[160];

	if (!inst->initing || inst->n_stmts == INSTANCE_STMTS_MAX) {
		api_core.host_fail(host, NULL, "ins_stmt_new: in init only, and not so many");
		return NULL;
	}
	stmt = pg_stmt_new(sql, err);
	if (stmt == NULL) {
		api_core.host_fail(host, NULL, err);
		return NULL;
	}
	s = arena_alloc(&inst->arena, sizeof *s);
	AN(s);
	s->stmt = stmt;
	s->next = inst->stmts;
	inst->stmts = s;
	inst->n_stmts++;
	return stmt;
}

static const ins_stmt *
db_stmt_stale(ins_host *host, const char *sql)
{
	const ins_stmt *stmt = db_stmt(host, sql);

	if (stmt != NULL)
		pg_stmt_stale(plugin_of(host)->stmts->stmt);
	return stmt;
}

static int
db_batch(ins_ctx *ctx, const ins_call *calls, size_t n, ins_rows **ret_rows)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	if (ctx->tenant_id[0] == '\0')
		return task_fail(
		    ctx, INS_EINTERNAL, "no tenant: this task may not use the database");
	return pg_batch(ctx, PG_APP, ctx->tenant_id, ctx->user_id, calls, n, ret_rows);
}

const ins_db_api api_db = {
	.size = sizeof(ins_db_api),
	.stmt = db_stmt,
	.batch = db_batch,
	.count = pg_rows_count,
	.columns = pg_rows_columns,
	.value = pg_value,
	.affected = pg_rows_affected,
	.end = pg_rows_end,
	.stmt_stale = db_stmt_stale,
	.stale = pg_rows_stale,
};
