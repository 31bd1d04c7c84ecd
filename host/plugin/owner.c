/* owner.c: the ledger of what plugins make on a loop, and the sweep before an unload. */
#include "plugin/owner.h"

#include "data/pg.h"

struct owner_cond *
owner_cond_new(struct ins_loop *loop, struct instance *inst)
{
	struct owner_cond *c = base_alloc(sizeof *c);

	ASSERT(loop == loop_self());
	c->loop = loop;
	c->inst = inst;
	c->cond = cond_new(loop);
	list_init(&c->link);
	if (inst != NULL) {
		list_append(&inst->loops[loop->index].conds, &c->link);
		inst->loops[loop->index].n_conds++;
	}
	return c;
}

void
owner_cond_free(struct owner_cond *c)
{
	if (c == NULL)
		return;
	ASSERT(c->loop == loop_self());
	list_remove(&c->link);
	if (c->inst != NULL)
		c->inst->loops[c->loop->index].n_conds--;
	cond_free(c->cond);
	free(c);
}

static unsigned
left_over(char why[256], unsigned n, unsigned count, const char *what, unsigned loop)
{
	if (count == 0 || n >= 256)
		return n;
	return n +
	    (unsigned)snprintf(why + n, 256 - n, "%s%u %s%s on loop %u", n != 0 ? ", " : "", count,
		what, count == 1 ? "" : "s", loop);
}

int
owner_sweep(struct instance *inst, char why[256])
{
	struct plugin_stmt *s;
	unsigned i, n = 0;

	for (s = inst->stmts; s != NULL; s = s->next)
		pg_stmt_free(s->stmt);
	inst->stmts = NULL;
	why[0] = '\0';
	for (i = 0; i < loop_count(); i++) {
		struct plugin_local *l = &inst->loops[i];

		n = left_over(why, n, l->n_conds, "condition", i);
		n = left_over(why, n, l->n_relays, "relay", i);
	}
	return n == 0 ? 0 : -1;
}
