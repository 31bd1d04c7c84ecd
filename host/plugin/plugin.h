/*
 * plugin.h: one instance of a plugin: an image with a configuration. The SDK calls it ins_host.
 *
 * It is made on the control thread (plugin_new runs init), started on every loop, belongs to one or
 * more generations, and goes when the last of them went: stop on every loop once no task of it is
 * left there, fini, owner sweep, unmap. What is in `loops[i]` is touched by loop i alone (or before
 * any loop knows the instance); all else by the control thread, read-only while it serves.
 */
#ifndef HOST_PLUGIN_H
#define HOST_PLUGIN_H

#include <insula/insula.h>
#include <insula/ws.h>

#include "base/arena.h"
#include "data/migrate.h"
#include "loop/loop.h"
#include "loop/task.h"
#include "plugin/conf.h"
#include "plugin/stage.h"
#include "plugin/svc.h"

#define INSTANCE_MAGIC 0x494e5354u
#define INSTANCE_MEMORY_MAX (64u << 20) /* of ins_new() */
#define INSTANCE_ROUTES_MAX 512
#define INSTANCE_STMTS_MAX 512
#define INSTANCE_SUBS_MAX 64

struct bus_sub;

struct plugin_route {
	struct plugin_route *next;
	const char *method, *pattern, *permission;
	int is_public;
	ins_handler handler;
	const ins_ws_route *ws; /* NULL: plain HTTP; else whose events come here */
	struct instance *inst;
};

struct plugin_stmt {
	struct plugin_stmt *next;
	struct ins_stmt *stmt;
};

struct plugin_sub {
	struct plugin_sub *next;
	const char *event_type, *durable;
	ins_delivery_fn fn;
	struct instance *inst;
	struct bus_sub *sub; /* NULL until the generation serves */
};

/* A background task that start() asked for, before the instance serves. */
struct plugin_spawn {
	struct plugin_spawn *next;
	const char *name;
	ins_task_fn fn;
	void *arg;
};

/* One loop's part. */
struct plugin_local {
	void *local;
	struct plugin_spawn *spawns, **spawns_tail;
	unsigned n_tasks;  /* background tasks alive */
	struct list conds; /* struct owner_cond */
	unsigned n_conds;  /* conditions made inside start(), not yet freed */
	unsigned n_relays; /* open */
	uint8_t started, serving, draining, stop_wanted, stopped;
} __attribute__((aligned(64)));

struct instance {
	uint32_t magic;
	uint64_t id;
	const char *name; /* the descriptor's, copied: outlives the image in logs */
	struct image *image;
	struct conf *conf;               /* holds the option values */
	const struct conf_plugin *entry; /* of conf */
	void *self;
	struct arena arena;
	int initing, was_started,
	    start_result;         /* what may be registered now; the first failure of start() */
	char error[CONF_ERR_MAX]; /* of init: the sentence for the operator */
	struct plugin_route *routes;
	struct plugin_stmt *stmts;
	struct plugin_sub *subs;
	struct svc_offer *offers, **offers_tail;
	unsigned n_routes, n_stmts, n_subs, n_offers;
	int gens;         /* generations that hold it */
	int loops_left;   /* loops that have not stopped it yet, while it goes */
	struct list link; /* all instances */
	struct plugin_local loops[LOOP_MAX];
};

void plugin_init(void);
/* The file of a plugin: the configured one, or NAME.so in the plugin path. 0, or -1 and err. */
int plugin_file(
    const struct conf *, const struct conf_plugin *, char ret[4096], char err[CONF_ERR_MAX]);
struct image *plugin_stage(struct conf *, const struct conf_plugin *, char err[CONF_ERR_MAX]);
/* Takes the image. Parses the options and runs init. NULL and err: nothing is left. */
struct instance *plugin_new(
    struct conf *, const struct conf_plugin *, struct image *, char err[CONF_ERR_MAX]);
/* Runs start on every loop; on the first failure stops it again where it had started. 0, or -1. */
int plugin_start(struct instance *, char err[CONF_ERR_MAX]);
/* For an instance that never served: stop, fini, sweep, unmap, at once. */
void plugin_free(struct instance *);
/* For one that served and is in no generation any more: the same, loop by loop, as tasks end. */
void plugin_retire(struct instance *);

/* On a loop: the instance serves from now on; the background tasks that start() asked for begin. */
void plugin_serve_loop(struct instance *, struct ins_loop *);
/* On a loop: no new work; drain() and then the cancellation of its background tasks. */
void plugin_drain_loop(struct instance *, struct ins_loop *);
/* On a loop: makes a background task of the instance. */
int plugin_spawn(struct instance *, struct ins_loop *, const char *name, ins_task_fn, void *arg);
/* Instances that go but still wait; for the admin answer: [{"plugin", "waits_for"}]. */
json_t *plugin_waiting(void);
unsigned plugin_instances(void);

/* The instance whose start, drain or stop runs on this thread now, or NULL. */
struct instance *plugin_calling(void);

static inline struct instance *
plugin_of(ins_host *host)
{
	struct instance *inst = (struct instance *)(void *)host;

	CHECK_OBJ(inst, INSTANCE_MAGIC);
	return inst;
}

static inline ins_host *
plugin_host(struct instance *inst)
{
	return (ins_host *)(void *)inst;
}

#endif
