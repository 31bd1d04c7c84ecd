/*
 * pg_error.c: from SQLSTATEs to INS_E* and sentences.
 *
 * The client reads a sentence without the server's words, which may quote other data of the
 * statement; the log gets SQLSTATE, message and constraint.
 */
#include "data/pg_impl.h"

static const struct {
	const char *prefix; /* the longest that fits comes first */
	int code;
	const char *text;
} map[] = {
	{ "23505", INS_ECONFLICT, "it exists already" },
	{ "40", INS_ECONFLICT, "somebody else changed the same data at the same time: try again" },
	{ "57014", INS_ETIMEOUT, "the database took too long" },
	{ "57P", INS_EUNAVAILABLE, "the database is restarting" },
	{ "08", INS_EUNAVAILABLE, "the database is not reachable" },
	{ "53", INS_EUNAVAILABLE, "the database is out of resources" },
	{ "25006", INS_EUNAVAILABLE, "the database does not take writes at the moment" },
	{ "0A000", INS_EUNAVAILABLE, "the database's tables have just changed: try again" },
	{ "22", INS_EINVAL, "the database refused a value of the request" },
	{ "23", INS_EINVAL, "the database refused a value of the request" },
};
static const char otherwise[] = "a statement failed";

static const char *
lookup(const char *sqlstate, int *ret_code)
{
	size_t i;

	for (i = 0; i < NELEM(map); i++)
		if (strncmp(sqlstate, map[i].prefix, strlen(map[i].prefix)) == 0) {
			*ret_code = map[i].code;
			return map[i].text;
		}
	*ret_code = INS_EINTERNAL;
	return otherwise;
}

int
pg_error_code(const char *sqlstate)
{
	int code;

	lookup(sqlstate, &code);
	return code;
}

void
pg_error_set(struct pg_group *g, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *table = PQresultErrorField(res, PG_DIAG_TABLE_NAME);
	const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);

	if (g->code != 0)
		return;
	/* Without a SQLSTATE it is libpq that speaks: of the connection. */
	snprintf(g->sqlstate, sizeof g->sqlstate, "%s", state == NULL ? "08000" : state);
	snprintf(g->message, sizeof g->message, "%s%s%s%s%s",
	    text == NULL ? PQresultErrorMessage(res) : text, table == NULL ? "" : ", table ",
	    table == NULL ? "" : table, constraint == NULL ? "" : ", constraint ",
	    constraint == NULL ? "" : constraint);
	g->code = pg_error_code(g->sqlstate);
}

int
pg_error_report(struct ins_ctx *ctx, const struct pg_group *g)
{
	const char *text;
	int code;

	text = lookup(g->sqlstate, &code);
	if (g->code == code && ctx->err_code == 0 && ctx->err_detail == NULL)
		ctx->err_detail = arena_printf(
		    &ctx->arena, "SQLSTATE %s: %s", g->sqlstate, g->message);
	return task_fail(ctx, g->code, "%s", text);
}
