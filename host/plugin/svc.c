/*
 * svc.c: resolves needs to offers, in the order in which the plugins stand in the configuration,
 * and walks the graph depth first so that providers come first. A cycle is named whole: "a needs
 * b needs a".
 */
#include "plugin/svc.h"

enum { SVC_NEW, SVC_OPEN, SVC_DONE };

static int svc_fail(char err[256], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
svc_fail(char err[256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, 256, fmt, ap);
	va_end(ap);
	return -1;
}

/* An interface and a name are one provider's. */
static int
svc_unique(struct svc_party *p, size_t n, size_t *ret_who, char err[256])
{
	const struct svc_offer *a, *b;
	size_t i, j;

	for (i = 0; i < n; i++)
		for (a = p[i].offers; a != NULL; a = a->next)
			for (j = i; j < n; j++)
				for (b = j == i ? a->next : p[j].offers; b != NULL; b = b->next)
					if (strcmp(a->iface, b->iface) == 0 &&
					    strcmp(a->name, b->name) == 0) {
						*ret_who = j;
						return svc_fail(err,
						    "%s \"%s\" is provided by %s and by %s",
						    a->iface, a->name, p[i].name, p[j].name);
					}
	return 0;
}

static int
svc_fill(struct svc_party *p, size_t n, size_t who, const ins_need *need, struct svc_slot *slot,
    struct arena *arena, char err[256])
{
	const struct svc_offer *o;
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		for (o = i == who ? NULL : p[i].offers; o != NULL; o = o->next)
			slot->n += strcmp(o->iface, need->iface) == 0;
	slot->offers = arena_alloc(arena, (slot->n + 1) * sizeof *slot->offers);
	slot->owners = arena_alloc(arena, (slot->n + 1) * sizeof *slot->owners);
	if (slot->offers == NULL || slot->owners == NULL)
		return svc_fail(err, "too many services");
	for (i = 0; i < n; i++)
		for (o = i == who ? NULL : p[i].offers; o != NULL; o = o->next)
			if (strcmp(o->iface, need->iface) == 0) {
				slot->owners[k] = i;
				slot->offers[k++] = o;
			}
	if (slot->n == 0 && !(need->flags & INS_OPTIONAL))
		return svc_fail(
		    err, "%s needs %s and no enabled plugin provides it", p[who].name, need->iface);
	if (slot->n > 1 && !(need->flags & INS_MANY))
		return svc_fail(err, "%s needs one %s and there are two: of %s and of %s",
		    p[who].name, need->iface, p[slot->owners[0]].name, p[slot->owners[1]].name);
	return 0;
}

static int
svc_visit(
    struct svc_party *p, size_t who, size_t *order, size_t *n_order, size_t *ret_who, char err[256])
{
	char rest[256];
	size_t i, k, to;

	if (p[who].state == SVC_DONE)
		return 0;
	if (p[who].state == SVC_OPEN) {
		*ret_who = who;
		return svc_fail(err, "%s", p[who].name);
	}
	p[who].state = SVC_OPEN;
	for (i = 0; i < p[who].n_slots; i++)
		for (k = 0; k < p[who].slots[i].n; k++) {
			to = p[who].slots[i].owners[k];
			if (svc_visit(p, to, order, n_order, ret_who, err) != 0) {
				snprintf(rest, sizeof rest, "%s", err);
				return svc_fail(err, "%.64s needs %.180s", p[who].name, rest);
			}
		}
	p[who].state = SVC_DONE;
	order[(*n_order)++] = who;
	return 0;
}

int
svc_resolve(struct svc_party *p, size_t n, struct arena *arena, size_t *order, size_t *ret_who,
    char err[256])
{
	char chain[256];
	size_t i, k, n_order = 0;

	if (svc_unique(p, n, ret_who, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		*ret_who = i;
		p[i].state = SVC_NEW;
		for (k = 0; p[i].needs != NULL && p[i].needs[k].iface != NULL; k++)
			;
		if (k > SVC_NEEDS_MAX)
			return svc_fail(err, "%s has more than %d needs", p[i].name, SVC_NEEDS_MAX);
		p[i].n_slots = k;
		p[i].slots = arena_alloc(arena, (k + 1) * sizeof *p[i].slots);
		if (p[i].slots == NULL)
			return svc_fail(err, "too many services");
		for (k = 0; k < p[i].n_slots; k++)
			if (svc_fill(p, n, i, &p[i].needs[k], &p[i].slots[k], arena, err) != 0)
				return -1;
	}
	for (i = 0; i < n; i++)
		if (svc_visit(p, i, order, &n_order, ret_who, err) != 0) {
			snprintf(chain, sizeof chain, "%s", err);
			return svc_fail(err, "services in a circle: %.220s", chain);
		}
	return 0;
}
