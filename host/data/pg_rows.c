/* pg_rows.c: what a result holds. The PGresult itself is kept until the task's end: no copy. */
#include "data/pg_impl.h"

size_t
pg_rows_count(const struct ins_rows *r)
{
	CHECK_OBJ(r, PG_ROWS_MAGIC);
	return (size_t)PQntuples(r->res);
}

size_t
pg_rows_columns(const struct ins_rows *r)
{
	CHECK_OBJ(r, PG_ROWS_MAGIC);
	return (size_t)PQnfields(r->res);
}

const char *
pg_value(const struct ins_rows *r, size_t row, size_t col, size_t *ret_n)
{
	int i = (int)row, j = (int)col;

	CHECK_OBJ(r, PG_ROWS_MAGIC);
	if (ret_n != NULL)
		*ret_n = 0;
	if (row >= (size_t)PQntuples(r->res) || col >= (size_t)PQnfields(r->res) ||
	    PQgetisnull(r->res, i, j))
		return NULL;
	if (ret_n != NULL)
		*ret_n = (size_t)PQgetlength(r->res, i, j);
	return PQgetvalue(r->res, i, j);
}

int
pg_rows_stale(const struct ins_rows *r)
{
	CHECK_OBJ(r, PG_ROWS_MAGIC);
	return r->stale;
}

void
pg_rows_end(struct ins_rows *r)
{
	CHECK_OBJ(r, PG_ROWS_MAGIC);
	PQclear(r->res);
	r->res = NULL;
}

size_t
pg_rows_affected(const struct ins_rows *r)
{
	CHECK_OBJ(r, PG_ROWS_MAGIC);
	return (size_t)strtoull(PQcmdTuples(r->res), NULL, 10);
}
