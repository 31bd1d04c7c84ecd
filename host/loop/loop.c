/*
 * loop.c: the loops' threads, their mailboxes, their start and their end.
 *
 * A mailbox is a locked list and a uv_async_t. Posting from the loop's own thread needs no system
 * call: the idle handle makes the next turn come at once. The loops share nothing else; everything
 * in a struct ins_loop but the mailbox is touched by its own thread alone.
 */
#include "loop/loop.h"

#include <signal.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/task.h"

struct loop_mail {
	struct loop_mail *next;
	void (*fn)(struct ins_loop *, void *);
	void *arg;
};

static struct ins_loop *control;
static struct ins_loop *loops; /* n_loops of them */
static unsigned n_loops;
static int n_slots;
static __thread struct ins_loop *self;

unsigned
loop_count(void)
{
	return n_loops;
}

struct ins_loop *
loop_get(int index)
{
	if (index == LOOP_CONTROL) {
		CHECK_OBJ(control, LOOP_MAGIC);
		return control;
	}
	ASSERT(index >= 0 && (unsigned)index < n_loops);
	return &loops[index];
}

struct ins_loop *
loop_self(void)
{
	return self;
}

int
loop_slot_new(void)
{
	ASSERT(n_loops == 0 || !loops[0].started);
	ASSERT(n_slots < LOOP_SLOTS_MAX);
	return n_slots++;
}

/* What is there now; mail that arrives meanwhile waits for the next turn. */
static void
deliver(struct ins_loop *loop)
{
	struct loop_mail *m, *next;

	AZ(pthread_mutex_lock(&loop->mail_lock));
	m = loop->mail_head;
	loop->mail_head = loop->mail_tail = NULL;
	AZ(pthread_mutex_unlock(&loop->mail_lock));
	for (; m != NULL; m = next) {
		next = m->next;
		m->fn(loop, m->arg);
		free(m);
	}
}

static void
on_async(uv_async_t *h)
{
	deliver(h->data);
}

static int
has_mail(struct ins_loop *loop)
{
	int r;

	AZ(pthread_mutex_lock(&loop->mail_lock));
	r = loop->mail_head != NULL;
	AZ(pthread_mutex_unlock(&loop->mail_lock));
	return r;
}

static void
on_idle(uv_idle_t *h)
{
	struct ins_loop *loop = h->data;

	uv_idle_stop(h);
	deliver(loop);
	task_run_ready(loop);
	if (!list_empty(&loop->ready) || has_mail(loop))
		loop_turn(loop);
}

void
loop_turn(struct ins_loop *loop)
{
	ASSERT(loop == self);
	AZ(uv_idle_start(&loop->idle, on_idle));
}

void
loop_post(struct ins_loop *loop, void (*fn)(struct ins_loop *, void *), void *arg)
{
	struct loop_mail *m = base_alloc(sizeof *m);
	int first;

	CHECK_OBJ(loop, LOOP_MAGIC);
	m->fn = fn;
	m->arg = arg;
	AZ(pthread_mutex_lock(&loop->mail_lock));
	if (loop->closed) {
		AZ(pthread_mutex_unlock(&loop->mail_lock));
		free(m);
		return;
	}
	first = loop->mail_head == NULL;
	if (first)
		loop->mail_head = m;
	else
		loop->mail_tail->next = m;
	loop->mail_tail = m;
	/* under the lock: the handle is open as long as `closed` is not set */
	if (first && loop != self)
		AZ(uv_async_send(&loop->async));
	AZ(pthread_mutex_unlock(&loop->mail_lock));
	if (loop == self)
		loop_turn(loop);
}

struct call {
	void (*fn)(struct ins_loop *, void *);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned left;
};

static void
call_run(struct ins_loop *loop, void *arg)
{
	struct call *c = arg;

	c->fn(loop, c->arg);
	AZ(pthread_mutex_lock(&c->lock));
	if (--c->left == 0)
		AZ(pthread_cond_signal(&c->done));
	AZ(pthread_mutex_unlock(&c->lock));
}

static void
call(struct ins_loop *first, unsigned n, void (*fn)(struct ins_loop *, void *), void *arg)
{
	struct call c = { .fn = fn, .arg = arg, .left = n };

	ASSERT(self == control);
	AZ(pthread_mutex_init(&c.lock, NULL));
	AZ(pthread_cond_init(&c.done, NULL));
	for (unsigned i = 0; i < n; i++) {
		ASSERT(first[i].started);
		loop_post(&first[i], call_run, &c);
	}
	AZ(pthread_mutex_lock(&c.lock));
	while (c.left > 0)
		AZ(pthread_cond_wait(&c.done, &c.lock));
	AZ(pthread_mutex_unlock(&c.lock));
	AZ(pthread_cond_destroy(&c.done));
	AZ(pthread_mutex_destroy(&c.lock));
}

void
loop_call_all(void (*fn)(struct ins_loop *, void *), void *arg)
{
	call(loops, n_loops, fn, arg);
}

void
loop_call(struct ins_loop *loop, void (*fn)(struct ins_loop *, void *), void *arg)
{
	CHECK_OBJ(loop, LOOP_MAGIC);
	if (loop == self)
		fn(loop, arg);
	else
		call(loop, 1, fn, arg);
}

static void
open_loop(struct ins_loop *loop, int index)
{
	loop->magic = LOOP_MAGIC;
	loop->index = index;
	list_init(&loop->tasks);
	list_init(&loop->ready);
	AZ(pthread_mutex_init(&loop->mail_lock, NULL));
	AZ(uv_loop_init(&loop->uv));
	loop->uv.data = loop;
	AZ(uv_async_init(&loop->uv, &loop->async, on_async));
	loop->async.data = loop;
	AZ(uv_idle_init(&loop->uv, &loop->idle));
	loop->idle.data = loop;
	timer_loop_init(loop);
}

static void
name_handle(uv_handle_t *h, void *arg)
{
	const char *name = uv_handle_type_name(h->type);

	log_msg(INS_LOG_ERROR, "loop.handle_left", "loop %d: a %s handle is still open%s",
	    *(int *)arg, name == NULL ? "?" : name, uv_is_closing(h) ? " (closing)" : "");
}

static void
give_up(struct timer *t)
{
	uv_stop(&loop_self()->uv);
}

/* The loop's own thread, after its last uv_run. */
static void
close_loop(struct ins_loop *loop)
{
	struct timer limit = { 0 };

	ASSERT(loop == self);
	loop->stopping = 1;
	timer_start(loop, &limit, LOOP_STOP_MS, give_up);
	do {
		deliver(loop);
		task_cancel_all(loop);
		while (loop->n_tasks > 0 && timer_active(&limit))
			uv_run(&loop->uv, UV_RUN_DEFAULT);
	} while (has_mail(loop) && timer_active(&limit));
	timer_stop(loop, &limit);
	if (loop->n_tasks > 0)
		log_msg(INS_LOG_ERROR, "loop.tasks_left", "loop %d: %u tasks did not end in %d ms",
		    loop->index, loop->n_tasks, LOOP_STOP_MS);

	AZ(pthread_mutex_lock(&loop->mail_lock));
	loop->closed = 1;
	AZ(pthread_mutex_unlock(&loop->mail_lock));
	deliver(loop);
	uv_close((uv_handle_t *)&loop->async, NULL);
	uv_close((uv_handle_t *)&loop->idle, NULL);
	if (loop->n_timers == 0)
		timer_loop_fini(loop);
	/* a few turns for the close callbacks that are under way, not for handles left open */
	for (int i = 0; i < 16 && uv_run(&loop->uv, UV_RUN_NOWAIT) != 0; i++)
		;
	if (uv_loop_close(&loop->uv) != 0)
		uv_walk(&loop->uv, name_handle, &loop->index);
	co_pool_fini();
	arena_pool_fini();
	task_pool_fini();
	self = NULL;
}

static void *
loop_main(void *arg)
{
	struct ins_loop *loop = arg;
	char name[16];

	CHECK_OBJ(loop, LOOP_MAGIC);
	self = loop;
	snprintf(name, sizeof name, "loop-%d", loop->index);
	pthread_setname_np(pthread_self(), name);
	metric_thread((unsigned)loop->index + 1);
	arena_pool_init();
	while (!loop->stopping)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	close_loop(loop);
	return NULL;
}

void
loop_init(unsigned n)
{
	ASSERT(control == NULL && self == NULL);
	ASSERT(n >= 1 && n <= LOOP_MAX);
	metric_init(n);
	control = base_alloc(sizeof *control);
	loops = base_alloc(n * sizeof *loops);
	n_loops = n;
	open_loop(control, LOOP_CONTROL);
	control->thread = pthread_self();
	self = control;
	metric_thread(0);
	arena_pool_init();
	for (unsigned i = 0; i < n; i++)
		open_loop(&loops[i], (int)i);
}

void
loop_start(void)
{
	sigset_t block, old;

	ASSERT(self == control);
	/* signals are the control thread's; faults stay with who caused them */
	sigfillset(&block);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGFPE);
	sigdelset(&block, SIGILL);
	sigdelset(&block, SIGABRT);
	sigdelset(&block, SIGTRAP);
	sigdelset(&block, SIGPROF);
	AZ(pthread_sigmask(SIG_SETMASK, &block, &old));
	for (unsigned i = 0; i < n_loops; i++) {
		ASSERT(!loops[i].started);
		loops[i].started = 1;
		AZ(pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]));
	}
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

static void
stop(struct ins_loop *loop, void *arg)
{
	loop->stopping = 1;
	uv_stop(&loop->uv);
}

void
loop_stop_all(void)
{
	ASSERT(self == control);
	for (unsigned i = 0; i < n_loops; i++)
		if (loops[i].started)
			loop_post(&loops[i], stop, NULL);
	for (unsigned i = 0; i < n_loops; i++) {
		if (loops[i].started) {
			AZ(pthread_join(loops[i].thread, NULL));
		} else {
			self = &loops[i];
			close_loop(&loops[i]);
			self = control;
		}
	}
	close_loop(control);
	for (unsigned i = 0; i < n_loops; i++)
		AZ(pthread_mutex_destroy(&loops[i].mail_lock));
	AZ(pthread_mutex_destroy(&control->mail_lock));
	free(loops);
	free(control);
	loops = control = NULL;
	n_loops = 0;
}
