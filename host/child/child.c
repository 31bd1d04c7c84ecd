/*
 * child.c: runs a tool of ours on one document and waits, on the task's own loop. Nothing here
 * trusts the child: its time, its output and its complaint are bounded, and it is killed as soon as
 * nobody waits for it.
 *
 * uv_spawn forks and execs at once; the child gets three socket pairs, an environment of its own
 * (ours may hold passwords) and nothing else. State is per loop thread; no lock.
 */
#include "child/child.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"

#define CHILD_COMPLAINT_MAX 400 /* bytes kept of standard error */
#define CHILD_READ_SIZE (64u << 10)
#define CHILD_MAGIC 0x4348494cu

struct child {
	uint32_t magic;
	struct list link;    /* in running */
	struct ins_ctx *ctx; /* NULL once nobody waits */
	uv_process_t process;
	uv_pipe_t in, out, err;
	uv_timer_t timer;
	uv_write_t write;
	int handles;                 /* still open */
	int opened, started, exited, /* opened: the process handle is libuv's */
	    out_end, err_end, closing;
	int64_t status;
	int signal;
	int overrun, late;
	struct str output, complaint;
	char buf[CHILD_READ_SIZE];
};

/* One who waits for a place; on its coroutine's stack. */
struct child_waiter {
	struct list link;
	struct ins_ctx *ctx;
};

static __thread struct {
	int ready;
	unsigned n;
	struct list running, waiters;
} child_loop;

static void
child_leave(void)
{
	struct child_waiter *w;

	child_loop.n--;
	if (list_empty(&child_loop.waiters))
		return;
	w = LIST_FIRST(&child_loop.waiters, struct child_waiter, link);
	list_remove(&w->link);
	child_loop.n++; /* the place passes on */
	task_wake(w->ctx, 0);
}

static void
child_on_close(uv_handle_t *h)
{
	struct child *c = h->data;

	CHECK_OBJ(c, CHILD_MAGIC);
	if (--c->handles > 0)
		return;
	list_remove(&c->link);
	str_fini(&c->output);
	str_fini(&c->complaint);
	c->magic = 0;
	free(c);
	child_leave();
}

static void
child_close_handle(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, child_on_close);
}

static void
child_close(struct child *c)
{
	if (c->closing)
		return;
	c->closing = 1;
	if (c->started && !c->exited)
		uv_process_kill(&c->process, SIGKILL);
	child_close_handle((uv_handle_t *)&c->in);
	child_close_handle((uv_handle_t *)&c->out);
	child_close_handle((uv_handle_t *)&c->err);
	child_close_handle((uv_handle_t *)&c->timer);
	/* libuv reaps a process only while its handle is open: that one closes when the exit was
	 * seen */
	if (c->opened && (!c->started || c->exited))
		child_close_handle((uv_handle_t *)&c->process);
}

static void
child_check_done(struct child *c)
{
	struct ins_ctx *ctx = c->ctx;

	if (ctx == NULL || !c->exited || !c->out_end || !c->err_end)
		return;
	task_wake(ctx, 0); /* child_run() goes on here, takes the output and closes */
}

static void
child_on_exit(uv_process_t *p, int64_t status, int sig)
{
	struct child *c = p->data;

	CHECK_OBJ(c, CHILD_MAGIC);
	c->exited = 1;
	c->status = status;
	c->signal = sig;
	if (c->closing)
		child_close_handle((uv_handle_t *)&c->process);
	else
		child_check_done(c);
}

static void
child_on_timer(uv_timer_t *t)
{
	struct child *c = t->data;

	CHECK_OBJ(c, CHILD_MAGIC);
	c->late = 1;
	if (!c->exited)
		uv_process_kill(&c->process, SIGKILL);
}

static void
child_on_written(uv_write_t *w, int status)
{
	struct child *c = w->data;

	/* a child that stopped reading says why in its exit */
	child_close_handle((uv_handle_t *)&c->in);
}

static void
child_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct child *c = h->data;

	*ret = uv_buf_init(c->buf, sizeof c->buf);
}

static void
child_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct child *c = s->data;
	int is_out = s == (uv_stream_t *)&c->out;

	CHECK_OBJ(c, CHILD_MAGIC);
	if (n > 0 && is_out) {
		str_add(&c->output, buf->base, (size_t)n);
		if (c->output.overflow && !c->overrun) {
			c->overrun = 1;
			if (!c->exited)
				uv_process_kill(&c->process, SIGKILL);
		}
	} else if (n > 0) {
		str_add(&c->complaint, buf->base, (size_t)n);
	} else if (n < 0) {
		uv_read_stop(s);
		*(is_out ? &c->out_end : &c->err_end) = 1;
		child_check_done(c);
	}
}

/* The task was cancelled: nobody wants the answer any more. */
static void
child_cancel(struct ins_ctx *ctx, void *arg)
{
	struct child *c = arg;

	c->ctx = NULL;
	child_close(c);
}

static void
child_wait_cancel(struct ins_ctx *ctx, void *arg)
{
	struct child_waiter *w = arg;

	list_remove(&w->link);
}

/* Takes one of the loop's places, or waits for one. */
static int
child_enter(struct ins_ctx *ctx)
{
	struct child_waiter w;

	if (!child_loop.ready) {
		list_init(&child_loop.running);
		list_init(&child_loop.waiters);
		child_loop.ready = 1;
	}
	if (child_loop.n < CHILDREN_PER_LOOP) {
		child_loop.n++;
		return 0;
	}
	w.ctx = ctx;
	list_append(&child_loop.waiters, &w.link);
	return task_park(ctx, child_wait_cancel, &w);
}

/*
 * Where the tool is: INSULA_LIBEXEC, beside this build (for host/insula and for tests/X/check_Y),
 * or where make install put it.
 */
static int
child_find(const char *tool, char path[PATH_MAX])
{
	static const char *const near[] = { "child", "../../host/child", "../host/child",
		"../../../host/child" };
	const char *dir = getenv("INSULA_LIBEXEC");
	char exe[PATH_MAX - 64], *slash;
	ssize_t n;
	size_t i;

	if (dir != NULL) {
		snprintf(path, PATH_MAX, "%s/insula-%s", dir, tool);
		return access(path, X_OK);
	}
	n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash != NULL)
			*slash = '\0';
		for (i = 0; i < NELEM(near); i++) {
			if (snprintf(path, PATH_MAX, "%s/%s/insula-%s", exe, near[i], tool) <
				PATH_MAX &&
			    access(path, X_OK) == 0)
				return 0;
		}
	}
	snprintf(path, PATH_MAX, "%s/insula-%s", LIBEXECDIR, tool);
	return access(path, X_OK);
}

static int
child_spawn(struct child *c, const char *tool, const char *arg)
{
	char path[PATH_MAX];
	char lang[] = "LC_ALL=C.UTF-8", *env[] = { lang, NULL };
	char *argv[] = { path, (char *)(uintptr_t)arg, NULL };
	uv_stdio_container_t io[3];
	uv_process_options_t o;

	if (child_find(tool, path) != 0)
		return UV_ENOENT;
	memset(io, 0, sizeof io);
	io[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
	io[0].data.stream = (uv_stream_t *)&c->in;
	io[1].flags = io[2].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	io[1].data.stream = (uv_stream_t *)&c->out;
	io[2].data.stream = (uv_stream_t *)&c->err;
	memset(&o, 0, sizeof o);
	o.file = path;
	o.args = argv;
	o.env = env;
	o.cwd = "/";
	o.stdio = io;
	o.stdio_count = 3;
	o.exit_cb = child_on_exit;
	c->opened = 1; /* also when it fails */
	c->handles++;
	return uv_spawn(&c->ctx->loop->uv, &c->process, &o);
}

static struct child *
child_new(struct ins_ctx *ctx)
{
	struct child *c = base_alloc(sizeof *c);
	uv_loop_t *uv = &ctx->loop->uv;

	c->magic = CHILD_MAGIC;
	c->ctx = ctx;
	str_init(&c->output, CHILD_OUTPUT_MAX);
	str_init(&c->complaint, CHILD_COMPLAINT_MAX);
	AZ(uv_pipe_init(uv, &c->in, 0));
	AZ(uv_pipe_init(uv, &c->out, 0));
	AZ(uv_pipe_init(uv, &c->err, 0));
	AZ(uv_timer_init(uv, &c->timer));
	c->handles = 4;
	c->in.data = c->out.data = c->err.data = c->timer.data = c->process.data = c->write.data =
	    c;
	list_append(&child_loop.running, &c->link);
	return c;
}

/* What became of it, as the task's error. */
static int
child_verdict(struct ins_ctx *ctx, struct child *c)
{
	struct str *e = &c->complaint;

	if (c->late || c->signal == SIGXCPU)
		return task_fail(
		    ctx, INS_ETIMEOUT, "the document took longer to parse than is allowed");
	if (c->overrun)
		return task_fail(ctx, INS_EINVAL, "the document's text is larger than is allowed");
	if (c->signal == 0 && c->status == 2) {
		while (e->n > 0 && (e->p[e->n - 1] == '\n' || e->p[e->n - 1] == '\r'))
			e->n--;
		return json_utf8_valid(e->p, e->n) && e->n > 0
		    ? task_fail(ctx, INS_EINVAL, "%.*s", (int)e->n, e->p)
		    : task_fail(ctx, INS_EINVAL, "the document cannot be read");
	}
	if (c->signal == SIGSYS)
		return task_fail(
		    ctx, INS_EINTERNAL, "the document's parser was stopped by its sandbox");
	if (c->signal != 0)
		return task_fail(
		    ctx, INS_EINTERNAL, "the document's parser was killed (signal %d)", c->signal);
	if (c->status != 0)
		return task_fail(
		    ctx, INS_EINTERNAL, "the document's parser failed (exit %d)", (int)c->status);
	return 0;
}

int
child_run(struct ins_ctx *ctx, const char *tool, const char *arg, ins_str input, int64_t timeout_ms,
    ins_str *ret)
{
	struct child *c;
	uv_buf_t buf;
	int r;

	*ret = (ins_str){ NULL, 0 };
	if (strcmp(tool, "extract") != 0)
		return task_fail(ctx, INS_EINVAL, "there is no tool called %.40s", tool);
	r = child_enter(ctx);
	if (r != 0)
		return r;
	c = child_new(ctx);
	r = child_spawn(c, tool, arg);
	if (r != 0) {
		child_close(c);
		return task_fail(
		    ctx, INS_EINTERNAL, "insula-%s could not be started: %s", tool, uv_strerror(r));
	}
	c->started = 1;
	uv_timer_start(&c->timer, child_on_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
	uv_read_start((uv_stream_t *)&c->out, child_alloc, child_on_read);
	uv_read_start((uv_stream_t *)&c->err, child_alloc, child_on_read);
	buf = uv_buf_init((char *)(uintptr_t)input.p, (unsigned)input.n);
	if (uv_write(&c->write, (uv_stream_t *)&c->in, &buf, 1, child_on_written) != 0)
		child_close_handle((uv_handle_t *)&c->in);
	r = task_park(ctx, child_cancel, c);
	if (r != 0)
		return r; /* child_cancel() has closed it */
	c->ctx = NULL;
	r = child_verdict(ctx, c);
	if (r == 0 && c->output.p != NULL) {
		r = arena_cleanup(&ctx->arena, free, c->output.p);
		if (r == 0) {
			*ret = (ins_str){ c->output.p, c->output.n };
			str_init(&c->output, CHILD_OUTPUT_MAX); /* the arena owns the bytes */
		}
	}
	child_close(c);
	return r;
}

void
child_loop_stop(struct ins_loop *loop)
{
	struct list *l, *next;

	if (!child_loop.ready)
		return;
	AN(list_empty(&child_loop.waiters)); /* tasks end before their loop */
	for (l = child_loop.running.next; l != &child_loop.running; l = next) {
		next = l->next;
		child_close(CONTAINER_OF(l, struct child, link));
	}
}
