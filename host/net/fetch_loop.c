/*
 * fetch_loop.c: libcurl's multi interface on a loop: its sockets are uv_poll handles, its timer is
 * one of ours. Everything runs on the loop's thread.
 *
 * libcurl must not be entered again from its own callbacks, and a woken task may do just that. So
 * the callbacks only note who is ready, and fetch_loop_wake() wakes them when libcurl has returned.
 */
#include "net/fetch_int.h"

static int fetch_slot = -1;

struct fetch_sock {
	uv_poll_t poll;
	struct fetch_multi *multi;
	curl_socket_t fd;
};

void
fetch_init(void)
{
	AZ(curl_global_init(CURL_GLOBAL_DEFAULT));
	if (fetch_slot < 0)
		fetch_slot = loop_slot_new();
}

struct fetch_loop *
fetch_loop_self(void)
{
	struct ins_loop *loop = loop_self();

	ASSERT(fetch_slot >= 0 && loop != NULL && loop->slots[fetch_slot] != NULL);
	return loop->slots[fetch_slot];
}

void
fetch_ready(struct ins_fetch *f)
{
	if (f->waiter != NULL && list_empty(&f->ready))
		list_append(&f->fl->ready, &f->ready);
}

void
fetch_loop_wake(struct fetch_loop *fl)
{
	struct ins_fetch *f;
	struct ins_ctx *waiter;

	while (!fl->inside && !list_empty(&fl->ready)) {
		f = LIST_FIRST(&fl->ready, struct ins_fetch, ready);
		CHECK_OBJ(f, FETCH_MAGIC);
		list_remove(&f->ready);
		waiter = f->waiter;
		f->waiter = NULL;
		if (waiter != NULL)
			task_wake(waiter, 0);
	}
}

static void
fetch_drive(struct fetch_multi *m, curl_socket_t fd, int events)
{
	struct fetch_loop *fl = m->fl;
	struct ins_fetch *f;
	CURLMsg *msg;
	int n;

	AZ(fl->inside);
	fl->inside = 1;
	curl_multi_socket_action(m->curl, fd, events, &n);
	fl->inside = 0;
	while ((msg = curl_multi_info_read(m->curl, &n)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		CHECK_OBJ(f, FETCH_MAGIC);
		fetch_finish(f, msg->data.result);
	}
	fetch_loop_wake(fl);
}

static void
fetch_on_poll(uv_poll_t *poll, int status, int events)
{
	struct fetch_sock *s = poll->data;
	int ev = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		ev |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		ev |= CURL_CSELECT_OUT;
	fetch_drive(s->multi, s->fd, ev);
}

static void
fetch_on_poll_closed(uv_handle_t *h)
{
	free(h->data);
}

static int
fetch_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
	struct fetch_multi *m = arg;
	struct fetch_sock *s = sockp;
	int ev = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s == NULL)
			return 0;
		curl_multi_assign(m->curl, fd, NULL);
		uv_poll_stop(&s->poll); /* now: libcurl closes the descriptor next */
		uv_close((uv_handle_t *)&s->poll, fetch_on_poll_closed);
		return 0;
	}
	if (s == NULL) {
		s = base_alloc(sizeof(*s));
		s->multi = m;
		s->fd = fd;
		if (uv_poll_init_socket(&m->fl->loop->uv, &s->poll, fd) != 0) {
			free(s);
			return -1;
		}
		s->poll.data = s;
		curl_multi_assign(m->curl, fd, s);
	}
	if (what & CURL_POLL_IN)
		ev |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		ev |= UV_WRITABLE;
	return uv_poll_start(&s->poll, ev, fetch_on_poll) == 0 ? 0 : -1;
}

static void
fetch_on_timer(struct timer *t)
{
	fetch_drive(CONTAINER_OF(t, struct fetch_multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int
fetch_on_curl_timer(CURLM *curl, long ms, void *arg)
{
	struct fetch_multi *m = arg;

	if (ms < 0)
		timer_stop(m->fl->loop, &m->timer);
	else
		timer_start(m->fl->loop, &m->timer, ms, fetch_on_timer);
	return 0;
}

void
fetch_loop_start(struct ins_loop *loop)
{
	struct fetch_loop *fl = base_alloc(sizeof(*fl));
	struct fetch_multi *m;

	ASSERT(loop == loop_self() && fetch_slot >= 0 && loop->slots[fetch_slot] == NULL);
	fl->loop = loop;
	list_init(&fl->live);
	list_init(&fl->ready);
	for (m = fl->multi; m < fl->multi + NELEM(fl->multi); m++) {
		m->fl = fl;
		m->curl = curl_multi_init();
		AN(m->curl);
		curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, fetch_on_socket);
		curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
		curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, fetch_on_curl_timer);
		curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
		curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, FETCH_IDLE_CONNS_MAX);
		/* One exchange at a time on a connection: a paused HTTP/2 stream of libcurl 7.88
		 * stops its neighbours. */
		curl_multi_setopt(m->curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	}
	loop->slots[fetch_slot] = fl;
}

/* The tasks have ended by now; what they left open is aborted. */
void
fetch_loop_stop(struct ins_loop *loop)
{
	struct fetch_loop *fl = loop->slots[fetch_slot];
	struct fetch_multi *m;

	ASSERT(loop == loop_self());
	if (fl == NULL)
		return;
	ASSERT(list_empty(&fl->live));
	for (m = fl->multi; m < fl->multi + NELEM(fl->multi); m++) {
		curl_multi_cleanup(m->curl);
		timer_stop(loop, &m->timer);
	}
	loop->slots[fetch_slot] = NULL;
	free(fl);
}

int
fetch_loop_add(struct fetch_loop *fl, struct ins_fetch *f)
{
	struct fetch_multi *m = &fl->multi[(f->flags & INS_FETCH_PRIVATE) != 0];

	if (curl_multi_add_handle(m->curl, f->easy) != CURLM_OK)
		return -INS_EUNAVAILABLE;
	f->multi = m;
	return 0;
}

void
fetch_loop_remove(struct ins_fetch *f)
{
	struct fetch_multi *m = f->multi;

	if (m == NULL)
		return;
	AZ(m->fl->inside);
	f->multi = NULL;
	curl_multi_remove_handle(m->curl, f->easy);
}
