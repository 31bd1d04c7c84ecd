/*
 * gen.h: the generation: routes, services and instances that belong together, immutable once it
 * serves.
 *
 * A reload builds a new one beside the old, publishes one pointer per loop, and lets work in flight
 * finish on the old. Each loop counts its own tasks with a plain int, so that a request costs no
 * atomic operation; a loop that has left a generation tells the control thread once its count is
 * zero. Rejected: changing tables in place under a lock (every request pays, and a request would
 * see half of two configurations), and one atomic count (it bounces between processors).
 *
 * Control thread, except where a comment says "loop".
 */
#ifndef HOST_GEN_H
#define HOST_GEN_H

#include <insula/auth.h>

#include "net/route.h"
#include "plugin/plugin.h"

#define GEN_MAGIC 0x47454e45u

struct gen_member {
	struct instance *inst;
	struct svc_slot *slots;
	size_t n_slots;
};

struct gen_count {
	int n;       /* tasks of this loop that hold the generation */
	int serving; /* the loop's current one */
} __attribute__((aligned(64)));

struct gen {
	uint32_t magic;
	uint64_t id;
	struct arena arena;
	struct conf *conf;
	struct route_table *routes; /* data: struct gen_route */
	struct gen_member *members;
	size_t n_members;
	const ins_auth *auth; /* NULL: every route that is not public answers 401 */
	json_t *skipped;      /* optional plugins that failed: name -> why; NULL = none */
	struct list link;     /* all generations, oldest first */
	int loops_left;       /* loops where it serves or has tasks */
	int64_t replaced_us;  /* 0 while it serves */
	struct gen_count counts[LOOP_MAX];
};

/* What a route leads to: a plugin's handler, or one of the host's own. */
struct gen_route {
	const struct plugin_route *plugin; /* NULL for the host's */
	void (*host)(struct http_req *);
	const char *pattern;
};
struct gen_host_route {
	const char *method, *pattern;
	void (*handler)(struct http_req *);
};

struct gen_hooks {
	/* Routes that every generation has; ends with {NULL}. */
	const struct gen_host_route *routes;
	/* Are these migrations applied? 0, or -1 with a sentence. NULL = not asked. */
	int (*migrated)(const struct migrate_set *, size_t n, char err[CONF_ERR_MAX]);
};

void gen_init(const struct gen_hooks *); /* before the loops start: takes a slot of each */
/*
 * Builds a generation of the configuration and, unless dry, publishes it. only: reload this plugin
 * alone and keep the others' images without looking at their files (NULL = look at all). disabled:
 * an object whose keys are left out (may be NULL). 0, or -1 with a sentence in err, the old one
 * still serving.
 */
int gen_apply(struct conf *, const char *only, const json_t *disabled, char err[CONF_ERR_MAX]);
int gen_check(struct conf *, char err[CONF_ERR_MAX]); /* the same without start and publication */
/* Publishes an empty generation: everything drains. Then gen_live() goes to 1. */
void gen_close(void);
unsigned gen_live(void);
/* Frees the empty generation; after the loops stopped. */
void gen_fini(void);
struct gen *gen_newest(void);
const struct list *gen_list(void);
/* gen_report.c. Cancels, on every loop, the tasks that hold a generation which was replaced that
 * long ago; requests, which have a deadline of their own, only with all set; background tasks of
 * instances that still serve never. */
void gen_cancel_old(int64_t older_than_us, int all);
/* {"generations": [{"id", "serving", "age_ms", "tasks": [{"name", "loop", "plugin"}]}],
 * "waiting": [...]}; asks every loop. */
json_t *gen_report(void);
/* Of the newest generation: [{"method", "pattern", "permission" ("public" for anyone), "plugin"}].
 */
json_t *gen_routes(void);

/* Loop: the generation that serves here. */
struct gen *gen_current(struct ins_loop *);
/* Loop: the task holds g (it held none), or lets go of what it holds. */
void gen_hold(struct ins_ctx *, struct gen *);
void gen_drop(struct ins_ctx *);
/* The member for an instance, or NULL. */
const struct gen_member *gen_member(const struct gen *, const struct instance *);

#endif
