/*
 * pg_stmt.c: the register of SQL texts, and which texts it takes.
 *
 * A text is a constant of a plugin or of the host, so the check is no defence against an attacker's
 * input: it keeps a statement of one tenant from changing, by mistake or cleverness, for whom the
 * rest of its group acts. Only data statements pass; what runs SQL given as a value does not.
 */
#include <ctype.h>
#include <stdatomic.h>

#include "data/pg_impl.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char used[PG_STMTS_MAX];
static uint64_t last_id;

/* The first word. Everything else is refused: SET, RESET, DISCARD, DO, COPY, CALL, transaction
 * control, LISTEN, DDL, ... */
static const char *const verbs[] = { "select", "insert", "update", "delete", "merge", "values",
	"with" };
/* Anywhere. Some take SQL as text and would run what this check cannot see; the locks last as long
 * as the session, which others use next (pg_advisory_xact_lock does not). */
static const char *const refused[] = { "set_config", "query_to_xml", "query_to_xmlschema",
	"query_to_xml_and_xmlschema", "cursor_to_xml", "cursor_to_xmlschema", "ts_stat",
	"ts_rewrite", "dblink", "dblink_exec", "pg_advisory_lock", "pg_advisory_lock_shared",
	"pg_try_advisory_lock", "pg_try_advisory_lock_shared",
	/* an UPDATE of this view sets what it shows, for the session */
	"pg_settings",
	/* large objects and temporary tables are outside row-level security */
	"lo_create", "lo_creat", "lo_from_bytea", "lo_get", "lo_import", "lo_open", "lo_put",
	"lo_unlink", "lo_export", "temp", "temporary" };
/* INTO makes a table, unless it follows one of these. */
static const char *const before_into[] = { "insert", "merge" };

/* Past a quoted run that began at *p with the quote q; doubled quotes stay inside. NULL when it
 * does not end. */
static const char *
skip_quoted(const char *p, char q, int backslash)
{
	for (p++; *p != '\0'; p++) {
		if (backslash && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == q && p[1] == q)
			p++;
		else if (*p == q)
			return p + 1;
	}
	return NULL;
}

static const char *
skip_comment(const char *p)
{
	int depth = 0;

	for (; *p != '\0'; p++) {
		if (p[0] == '/' && p[1] == '*') {
			depth++;
			p++;
		} else if (p[0] == '*' && p[1] == '/') {
			p++;
			if (--depth == 0)
				return p + 1;
		}
	}
	return NULL;
}

/* $tag$ ... $tag$; p itself when it is none (a parameter, $1). */
static const char *
skip_dollar(const char *p)
{
	const char *e = p + 1, *end;
	size_t n;

	if (isdigit((unsigned char)*e))
		return p;
	while (isalnum((unsigned char)*e) || *e == '_' || (unsigned char)*e >= 0x80)
		e++;
	if (*e != '$')
		return p;
	n = (size_t)(e + 1 - p);
	for (end = e + 1; (end = strchr(end, '$')) != NULL; end++)
		if (strncmp(end, p, n) == 0)
			return end + n;
	return NULL;
}

/* PostgreSQL joins strings that only white space with a line end parts, and reads the second as it
 * read the first, escapes or not. */
static int
continues(const char *e)
{
	size_t n = strspn(e, " \t\f\v\r\n");

	return e[n] == '\'' && (memchr(e, '\n', n) != NULL || memchr(e, '\r', n) != NULL);
}

static int
word_is(const char *p, size_t n, const char *const *list, size_t n_list)
{
	size_t i;

	for (i = 0; i < n_list; i++)
		if (strlen(list[i]) == n && strncasecmp(p, list[i], n) == 0)
			return 1;
	return 0;
}

static int
refuse(char err[160], const char *why, size_t n, const char *word)
{
	snprintf(err, 160, "%s%.*s", why, n > 64 ? 64 : (int)n, word);
	return -1;
}

int
pg_text_check(const char *sql, char err[160])
{
	const char *p = sql, *e, *last = "";
	size_t n_last = 0;
	int words = 0, ended = 0;

	if (strlen(sql) > PG_TEXT_MAX)
		return refuse(err, "the text is too long", 0, "");
	while (*p != '\0') {
		if (isspace((unsigned char)*p)) {
			p++;
			continue;
		}
		if (p[0] == '-' && p[1] == '-') {
			p += strcspn(p, "\r\n"); /* either ends it */
			continue;
		}
		if (p[0] == '/' && p[1] == '*') {
			p = skip_comment(p);
			if (p == NULL)
				return refuse(err, "a comment does not end", 0, "");
			continue;
		}
		if (ended)
			return refuse(err, "more than one statement", 0, "");
		e = p;
		if (*p == '\'') {
			e = skip_quoted(p, '\'', 0);
		} else if (*p == '"') {
			/* A quoted name is a name: its case differs, its function does not. */
			e = skip_quoted(p, '"', 0);
			if (e != NULL &&
			    word_is(p + 1, (size_t)(e - p - 2), refused, NELEM(refused)))
				return refuse(err, "refused: ", (size_t)(e - p - 2), p + 1);
		} else if (*p == '$' && (e = skip_dollar(p)) == p) {
			e = p + 1;
		} else if ((*p == 'u' || *p == 'U') && p[1] == '&' &&
		    (p[2] == '"' || p[2] == '\'')) {
			return refuse(err, "refused: names and strings with U& escapes", 0, "");
		} else if ((*p == 'e' || *p == 'E') && p[1] == '\'') {
			e = skip_quoted(p + 1, '\'', 1);
		} else if (isalpha((unsigned char)*p) || *p == '_' || (unsigned char)*p >= 0x80) {
			while (isalnum((unsigned char)*e) || *e == '_' || *e == '$' ||
			    (unsigned char)*e >= 0x80)
				e++;
			if (words++ == 0 && !word_is(p, (size_t)(e - p), verbs, NELEM(verbs)))
				return refuse(
				    err, "no data statement begins with ", (size_t)(e - p), p);
			if (word_is(p, (size_t)(e - p), refused, NELEM(refused)))
				return refuse(err, "refused: ", (size_t)(e - p), p);
			if (e - p == 4 && strncasecmp(p, "into", 4) == 0 &&
			    !word_is(last, n_last, before_into, NELEM(before_into)))
				return refuse(err, "refused: SELECT INTO", 0, "");
			last = p;
			n_last = (size_t)(e - p);
		} else if (*p == ';') {
			ended = 1;
			e = p + 1;
		} else if (*p != '$') {
			e = p + 1;
		}
		if (e == NULL)
			return refuse(err, "a string or quoted name does not end", 0, "");
		if (e[-1] == '\'' && continues(e))
			return refuse(err, "refused: a string in several parts", 0, "");
		p = e;
	}
	return words > 0 ? 0 : refuse(err, "the text is empty", 0, "");
}

struct ins_stmt *
pg_stmt_new(const char *sql, char err[160])
{
	struct ins_stmt *s;
	unsigned slot;

	if (pg_text_check(sql, err) != 0)
		return NULL;
	AZ(pthread_mutex_lock(&lock));
	for (slot = 0; slot < PG_STMTS_MAX && used[slot]; slot++)
		;
	if (slot == PG_STMTS_MAX) {
		AZ(pthread_mutex_unlock(&lock));
		snprintf(err, 160, "there are %d statements already", PG_STMTS_MAX);
		return NULL;
	}
	used[slot] = 1;
	s = base_alloc(sizeof *s);
	s->magic = PG_STMT_MAGIC;
	s->slot = slot;
	s->id = ++last_id;
	s->sql = base_strdup(sql);
	AZ(pthread_mutex_unlock(&lock));
	return s;
}

void
pg_stmt_stale(struct ins_stmt *s)
{
	CHECK_OBJ(s, PG_STMT_MAGIC);
	s->stale = 1;
}

void
pg_stmt_on_commit(struct ins_stmt *s, void (*fn)(void))
{
	CHECK_OBJ(s, PG_STMT_MAGIC);
	s->on_commit = fn;
}

void
pg_stmt_free(struct ins_stmt *s)
{
	if (s == NULL)
		return;
	CHECK_OBJ(s, PG_STMT_MAGIC);
	AZ(pthread_mutex_lock(&lock));
	AN(used[s->slot]);
	used[s->slot] = 0;
	AZ(pthread_mutex_unlock(&lock));
	free(s->sql);
	s->magic = 0;
	free(s);
}
