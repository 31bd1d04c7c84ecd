/*
 * route.c: see route.h. A tree with one level per path part: literal children by name, at most one
 * parameter child, at most one rest child. Written by the control thread while a generation is
 * built, read-only afterwards.
 *
 * A literal wins over a parameter at the first part where both fit, and matching goes back to the
 * parameter when the literal leads nowhere: "/a/{x}/c" is found for /a/b/c beside "/a/b/d". The
 * number of branches is bounded by ROUTE_DEPTH_MAX and ROUTES_MAX, not by the path.
 */
#include "net/route.h"

#define ROUTE_DEPTH_MAX 16  /* parts of a pattern; a longer path matches a rest parameter only */
#define ROUTE_METHODS_MAX 8 /* of one pattern */
#define ROUTE_METHOD_LEN 16

struct route_leaf {
	char method[ROUTE_METHOD_LEN];
	void *data;
	const char *names[ROUTE_PARAMS_MAX]; /* into text */
	unsigned n_names;
	char *text;
};

struct route_node {
	char *name; /* literal; NULL for the root and for parameters */
	size_t name_n;
	struct route_node **literals;
	unsigned n_literals;
	struct route_node *param, *rest;
	struct route_leaf *leaves[ROUTE_METHODS_MAX];
	unsigned n_leaves;
};

struct route_table {
	struct route_node root;
	unsigned n_routes;
	char err[256];
};

struct route_table *
route_new(void)
{
	return base_alloc(sizeof(struct route_table));
}

static void
route_node_fini(struct route_node *n)
{
	unsigned i;

	for (i = 0; i < n->n_literals; i++) {
		route_node_fini(n->literals[i]);
		free(n->literals[i]);
	}
	if (n->param != NULL)
		route_node_fini(n->param);
	if (n->rest != NULL)
		route_node_fini(n->rest);
	for (i = 0; i < n->n_leaves; i++) {
		free(n->leaves[i]->text);
		free(n->leaves[i]);
	}
	free(n->param);
	free(n->rest);
	free(n->literals);
	free(n->name);
}

void
route_free(struct route_table *t)
{
	if (t == NULL)
		return;
	route_node_fini(&t->root);
	free(t);
}

static const char *
route_refuse(struct route_table *t, const char *method, const char *pattern, const char *why)
{
	snprintf(t->err, sizeof(t->err), "route %.16s %.160s: %s", method, pattern, why);
	return t->err;
}

static struct route_node *
route_literal(struct route_node *n, const char *p, size_t len)
{
	unsigned i;

	for (i = 0; i < n->n_literals; i++)
		if (n->literals[i]->name_n == len && memcmp(n->literals[i]->name, p, len) == 0)
			return n->literals[i];
	return NULL;
}

/* Walks one part of a pattern down, making the node if it is new. */
static struct route_node *
route_grow(struct route_node *n, const char *p, size_t len, int param, int rest)
{
	struct route_node **slot, *child;

	if (param) {
		slot = rest ? &n->rest : &n->param;
		if (*slot == NULL)
			*slot = base_alloc(sizeof(**slot));
		return *slot;
	}
	child = route_literal(n, p, len);
	if (child != NULL)
		return child;
	n->literals = base_realloc(n->literals, (n->n_literals + 1) * sizeof(*n->literals));
	child = n->literals[n->n_literals++] = base_alloc(sizeof(*child));
	child->name = base_alloc(len + 1);
	memcpy(child->name, p, len);
	child->name_n = len;
	return child;
}

/* "{name}" and "{name*}" inside [p, p + n): notes the name. NULL or why not. */
static const char *
route_param(struct route_leaf *leaf, char *p, size_t n, int *ret_rest)
{
	unsigned i;
	size_t k;

	if (n < 3 || p[n - 1] != '}')
		return "a parameter is a whole part: {name} or {name*}";
	*ret_rest = p[n - 2] == '*';
	n -= *ret_rest ? 3 : 2;
	p++;
	if (n == 0)
		return "a parameter needs a name";
	for (k = 0; k < n; k++)
		if (!((p[k] >= 'a' && p[k] <= 'z') || (p[k] >= '0' && p[k] <= '9') || p[k] == '_'))
			return "parameter names are made of a-z, 0-9 and _";
	p[n] = '\0';
	if (leaf->n_names == ROUTE_PARAMS_MAX)
		return "too many parameters";
	for (i = 0; i < leaf->n_names; i++)
		if (strcmp(leaf->names[i], p) == 0)
			return "a parameter name twice";
	leaf->names[leaf->n_names++] = p;
	return NULL;
}

/* Checks the whole pattern before anything is added. NULL or why not. */
static const char *
route_check(struct route_leaf *leaf)
{
	char *p = leaf->text, *end;
	unsigned depth = 0;
	const char *why;
	int rest = 0;

	if (p[0] != '/')
		return "must begin with /";
	for (; p != NULL; p = end) {
		p++;
		end = strchr(p, '/');
		if (rest)
			return "{name*} must be the last part";
		if (++depth > ROUTE_DEPTH_MAX)
			return "too many parts";
		if (end != NULL)
			*end = '\0';
		if (*p == '{') {
			why = route_param(leaf, p, strlen(p), &rest);
			if (why != NULL)
				return why;
		} else if (strpbrk(p, "{}*?#% ") != NULL) {
			return "a literal part holds a character out of {}*?#% or a space";
		} else if (*p == '\0' && end != NULL) {
			return "an empty part";
		}
		if (end != NULL)
			*end = '/';
	}
	return NULL;
}

const char *
route_add(struct route_table *t, const char *method, const char *pattern, void *data)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct route_leaf *leaf;
	struct route_node *n = &t->root;
	const char *why = NULL, *p, *end;
	unsigned i;

	if (method[0] == '\0' || strlen(method) >= ROUTE_METHOD_LEN ||
	    method[strspn(method, upper)] != '\0')
		return route_refuse(t, method, pattern, "not a method");
	if (t->n_routes == ROUTES_MAX)
		return route_refuse(t, method, pattern, "too many routes");
	leaf = base_alloc(sizeof(*leaf));
	leaf->text = base_strdup(pattern);
	leaf->data = data;
	strcpy(leaf->method, method);
	why = route_check(leaf);
	for (p = pattern; why == NULL && p != NULL; p = end) {
		p++;
		end = strchr(p, '/');
		n = route_grow(n, p, end != NULL ? (size_t)(end - p) : strlen(p), *p == '{',
		    strchr(p, '*') != NULL && end == NULL);
	}
	for (i = 0; why == NULL && i < n->n_leaves; i++)
		if (strcmp(n->leaves[i]->method, method) == 0)
			why = "there is one like it already";
	if (why == NULL && n->n_leaves == ROUTE_METHODS_MAX)
		why = "too many methods on one pattern";
	if (why != NULL) {
		free(leaf->text);
		free(leaf);
		return route_refuse(t, method, pattern, why);
	}
	n->leaves[n->n_leaves++] = leaf;
	t->n_routes++;
	return NULL;
}

struct route_walk {
	const char *method;
	size_t method_n;
	const char *end; /* of the path */
	struct route_match *ret;
	const struct route_node *seen; /* fits the path, but not the method */
};

static struct route_leaf *
route_leaf_for(const struct route_node *n, const char *method, size_t len)
{
	unsigned i;

	for (i = 0; i < n->n_leaves; i++)
		if (strlen(n->leaves[i]->method) == len &&
		    memcmp(n->leaves[i]->method, method, len) == 0)
			return n->leaves[i];
	return NULL;
}

static int
route_take(struct route_walk *w, const struct route_node *n, unsigned n_params)
{
	struct route_leaf *leaf = route_leaf_for(n, w->method, w->method_n);
	unsigned i;

	if (leaf == NULL && w->method_n == 4 && memcmp(w->method, "HEAD", 4) == 0)
		leaf = route_leaf_for(n, "GET", 3);
	if (leaf == NULL) {
		if (n->n_leaves > 0 && w->seen == NULL)
			w->seen = n;
		return 0;
	}
	ASSERT(leaf->n_names == n_params);
	w->ret->data = leaf->data;
	w->ret->n_params = n_params;
	for (i = 0; i < n_params; i++)
		w->ret->params[i].name = leaf->names[i];
	return 1;
}

/* p is behind the '/' that leads to n's children; NULL at the end of the path. */
static int
route_walk(struct route_walk *w, const struct route_node *n, const char *p, unsigned n_params)
{
	const struct route_node *child;
	const char *slash, *next;
	size_t len;

	if (p == NULL)
		return route_take(w, n, n_params);
	slash = memchr(p, '/', (size_t)(w->end - p));
	len = (size_t)((slash != NULL ? slash : w->end) - p);
	next = slash != NULL ? slash + 1 : NULL;
	child = route_literal((struct route_node *)n, p, len);
	if (child != NULL && route_walk(w, child, next, n_params))
		return 1;
	if (len > 0 && n->param != NULL && n_params < ROUTE_PARAMS_MAX) {
		w->ret->params[n_params].p = p;
		w->ret->params[n_params].n = len;
		if (route_walk(w, n->param, next, n_params + 1))
			return 1;
	}
	if (p < w->end && n->rest != NULL && n_params < ROUTE_PARAMS_MAX) {
		w->ret->params[n_params].p = p;
		w->ret->params[n_params].n = (size_t)(w->end - p);
		return route_take(w, n->rest, n_params + 1);
	}
	return 0;
}

static void
route_allow(const struct route_node *n, char allow[64])
{
	size_t used = 0;
	unsigned i;
	int k;

	allow[0] = '\0';
	for (i = 0; i < n->n_leaves; i++) {
		k = snprintf(
		    allow + used, 64 - used, "%s%s", used > 0 ? ", " : "", n->leaves[i]->method);
		if (k < 0 || (size_t)k >= 64 - used) {
			allow[used] = '\0'; /* whole names only */
			return;
		}
		used += (size_t)k;
	}
}

enum route_result
route_match(const struct route_table *t, const char *method, size_t method_n, const char *path,
    size_t path_n, struct route_match *ret, char allow[64])
{
	struct route_walk w = { method, method_n, path + path_n, ret, NULL };

	memset(ret, 0, sizeof(*ret));
	allow[0] = '\0';
	if (path_n == 0 || path[0] != '/')
		return ROUTE_NO_PATH;
	if (route_walk(&w, &t->root, path + 1, 0))
		return ROUTE_FOUND;
	if (w.seen == NULL)
		return ROUTE_NO_PATH;
	route_allow(w.seen, allow);
	return ROUTE_NO_METHOD;
}
