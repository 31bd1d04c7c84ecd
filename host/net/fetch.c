/*
 * fetch.c: one outbound exchange, from a task's view: open, read pieces, close. See fetch.h.
 *
 * An exchange belongs to the task that opened it and ends with it at the latest (a cleanup of the
 * arena). libcurl's callbacks fill `head` and `unread` and pause the transfer while nobody reads;
 * the task takes `unread` in one swap. An answer that ends early is an error, never an end.
 */
#include "net/fetch_int.h"

#include <strings.h>
#include <unistd.h>

static int64_t
fetch_or(int64_t v, int64_t dflt)
{
	return v > 0 ? v : dflt;
}

/* Ends the exchange with an error of ours; what was received before can still be read. */
static void
fetch_abort(struct ins_fetch *f, int code, const char *text)
{
	if (f->done)
		return;
	f->done = 1;
	f->code = -code;
	f->text = text;
	timer_stop(f->fl->loop, &f->timer);
	fetch_ready(f);
}

static void fetch_on_timer(struct timer *);

static size_t
fetch_on_header(char *p, size_t size, size_t n, void *arg)
{
	struct ins_fetch *f = arg;
	size_t all = n * size, len = all;
	long status = 0;

	f->heard_us = base_mono_us();
	if (f->head_done)
		return all; /* a trailer */
	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	if (len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		str_reset(&f->head); /* once more after a 100 Continue */
	} else if (len > 0) {
		str_add(&f->head, p, len);
		str_add(&f->head, "\n", 1);
	} else {
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
		f->status = (int)status;
		f->head_done = status >= 200;
		if (f->head_done) {
			timer_start(f->fl->loop, &f->timer, f->idle_ms, fetch_on_timer);
			fetch_ready(f);
		}
	}
	if (!f->head.overflow)
		return all;
	fetch_abort(f, INS_EUPSTREAM, "a header larger than is allowed");
	return 0;
}

static size_t
fetch_on_body(char *p, size_t size, size_t n, void *arg)
{
	struct ins_fetch *f = arg;

	n *= size;
	f->heard_us = base_mono_us();
	if (f->bytes + (int64_t)n > f->max_bytes) {
		fetch_abort(f, INS_ETOOBIG, "an answer larger than is allowed");
		return 0;
	}
	if (f->unread.n > 0 && f->unread.n + n > FETCH_UNREAD_MAX) {
		f->paused = 1;
		return CURL_WRITEFUNC_PAUSE; /* libcurl keeps these bytes */
	}
	str_add(&f->unread, p, n);
	AZ(f->unread.overflow);
	f->bytes += (int64_t)n;
	fetch_ready(f);
	return n;
}

static curl_socket_t
fetch_on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct ins_fetch *f = arg;

	if ((f->flags & INS_FETCH_PRIVATE) == 0 && fetch_addr_closed(&a->addr)) {
		f->denied = 1;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

static void
fetch_on_timer(struct timer *t)
{
	struct ins_fetch *f = CONTAINER_OF(t, struct ins_fetch, timer);
	int64_t limit = f->head_done ? f->idle_ms : f->first_byte_ms;
	int64_t silent = (base_mono_us() - f->heard_us) / 1000;

	CHECK_OBJ(f, FETCH_MAGIC);
	if (f->paused) /* it is we who are silent */
		silent = 0;
	if (silent < limit) {
		timer_start(f->fl->loop, t, limit - silent, fetch_on_timer);
		return;
	}
	fetch_abort(f, INS_ETIMEOUT,
	    f->head_done ? "the answer stopped in the middle" : "no answer in time");
	fetch_loop_remove(f);
	fetch_loop_wake(f->fl);
}

static int
fetch_code(const struct ins_fetch *f, CURLcode c)
{
	long asked = 0;

	switch (c) {
	case CURLE_OK: return 0;
	case CURLE_OPERATION_TIMEDOUT: return INS_ETIMEOUT;
	case CURLE_OUT_OF_MEMORY: return INS_ENOMEM;
	case CURLE_URL_MALFORMAT: return INS_EINVAL;
	case CURLE_UNSUPPORTED_PROTOCOL: /* also for an answer that is not HTTP */
		curl_easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &asked);
		return asked > 0 ? INS_EUPSTREAM : INS_EINVAL;
	case CURLE_COULDNT_CONNECT: return f->denied ? INS_EDENIED : INS_EUPSTREAM;
	default: return INS_EUPSTREAM;
	}
}

void
fetch_finish(struct ins_fetch *f, CURLcode c)
{
	int code = fetch_code(f, c);

	if (code == 0 && !f->head_done)
		code = INS_EUPSTREAM;
	fetch_abort(f, code,
	    code == INS_EDENIED        ? "an address that may not be reached from here"
		: code == INS_ETIMEOUT ? "no answer in time"
				       : curl_easy_strerror(c));
	fetch_loop_remove(f);
}

/* ---- what a request may hold ---- */

static int
fetch_header_line_valid(const char *z)
{
	const char *colon = strchr(z, ':');
	const unsigned char *p;

	for (p = (const unsigned char *)z; *p != '\0'; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return 0;
	return colon != NULL && colon > z && strpbrk(z, " \t") != z &&
	    strcspn(z, " \t") >= (size_t)(colon - z);
}

static int
fetch_headers(struct ins_fetch *f, const char *const *h)
{
	struct curl_slist *l;

	/* libcurl would hold back larger bodies for a second, waiting for 100 Continue */
	f->headers = curl_slist_append(NULL, "Expect:");
	for (; f->headers != NULL && h != NULL && *h != NULL; h++) {
		if (!fetch_header_line_valid(*h))
			return -INS_EINVAL;
		l = curl_slist_append(f->headers, *h);
		if (l == NULL)
			return -INS_ENOMEM;
	}
	return f->headers == NULL ? -INS_ENOMEM : 0;
}

static int
fetch_setup(struct ins_fetch *f, const ins_fetch_request *req)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *method = req->method != NULL ? req->method : "GET";
	CURL *e = f->easy;
	int rc, bad = 0;

	if (method[0] == '\0' || strlen(method) > 16 || method[strspn(method, upper)] != '\0' ||
	    req->url == NULL)
		return -INS_EINVAL;
	rc = fetch_headers(f, req->headers);
	if (rc != 0)
		return rc;
#define SET(option, value) bad |= curl_easy_setopt(e, option, value) != CURLE_OK
	SET(CURLOPT_PRIVATE, f);
	SET(CURLOPT_ERRORBUFFER, f->detail);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_URL, req->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* nor one from the environment */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_USERAGENT, "insula/" PACKAGE_VERSION);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_HTTPHEADER, f->headers);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)fetch_or(req->connect_ms, FETCH_CONNECT_MS));
	SET(CURLOPT_TIMEOUT_MS, (long)fetch_or(req->total_ms, FETCH_TOTAL_MS));
	SET(CURLOPT_OPENSOCKETFUNCTION, fetch_on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, f);
	SET(CURLOPT_HEADERFUNCTION, fetch_on_header);
	SET(CURLOPT_HEADERDATA, f);
	SET(CURLOPT_WRITEFUNCTION, fetch_on_body);
	SET(CURLOPT_WRITEDATA, f);
	if (strcmp(method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (req->body.n > 0 || strcmp(method, "POST") == 0) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.n);
		SET(CURLOPT_COPYPOSTFIELDS, req->body.n > 0 ? req->body.p : "");
	}
	if (strcmp(method, "HEAD") != 0)
		SET(CURLOPT_CUSTOMREQUEST, method);
#undef SET
	return bad ? -INS_EINVAL : 0;
}

/* ---- the task's side ---- */

static void
fetch_free(void *arg)
{
	struct ins_fetch *f = arg;

	CHECK_OBJ(f, FETCH_MAGIC);
	fetch_close(f);
	list_remove(&f->link);
	f->fl->n_live--;
	if (f->easy != NULL)
		curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	str_fini(&f->head);
	str_fini(&f->unread);
	str_fini(&f->read);
	f->magic = 0;
	free(f);
}

static struct ins_fetch *
fetch_new(const ins_fetch_request *req)
{
	struct ins_fetch *f = base_alloc(sizeof(*f));

	f->magic = FETCH_MAGIC;
	f->fl = fetch_loop_self();
	f->flags = (int)req->flags;
	f->max_bytes = fetch_or(req->max_bytes, FETCH_BODY_MAX);
	f->first_byte_ms = fetch_or(req->first_byte_ms, FETCH_FIRST_BYTE_MS);
	f->idle_ms = fetch_or(req->idle_ms, FETCH_IDLE_MS);
	list_init(&f->link);
	list_init(&f->ready);
	list_append(&f->fl->live, &f->link);
	f->fl->n_live++;
	str_init(&f->head, FETCH_HEAD_MAX);
	str_init(&f->unread, FETCH_UNREAD_MAX + CURL_MAX_WRITE_SIZE);
	str_init(&f->read, FETCH_UNREAD_MAX + CURL_MAX_WRITE_SIZE);
	f->easy = curl_easy_init();
	return f;
}

static void
fetch_on_cancelled(struct ins_ctx *ctx, void *arg)
{
	struct ins_fetch *f = arg;

	f->waiter = NULL;
	fetch_close(f);
}

static int
fetch_wait(struct ins_ctx *ctx, struct ins_fetch *f)
{
	ASSERT(f->waiter == NULL);
	f->waiter = ctx;
	return task_park(ctx, fetch_on_cancelled, f);
}

static int
fetch_failed(struct ins_ctx *ctx, struct ins_fetch *f)
{
	int rc;

	if (f->code == -INS_ECANCELED)
		return f->code;
	rc = task_fail(ctx, -f->code, "outbound request failed: %s", f->text);
	if (f->detail[0] != '\0' && ctx->err_detail == NULL)
		ctx->err_detail = arena_strdup(&ctx->arena, f->detail);
	return rc;
}

int
fetch_open(struct ins_ctx *ctx, const ins_fetch_request *req, struct ins_fetch **ret)
{
	struct ins_fetch *f;
	int rc;

	*ret = NULL;
	if (ctx->canceled)
		return -INS_ECANCELED;
	if (fetch_loop_self()->n_live >= FETCH_LIVE_MAX)
		return task_fail(ctx, INS_EUNAVAILABLE, "too many outbound requests at once");
	f = fetch_new(req);
	rc = arena_cleanup(&ctx->arena, fetch_free, f);
	if (rc != 0) {
		fetch_free(f);
		return rc;
	}
	rc = f->easy == NULL ? -INS_ENOMEM : fetch_setup(f, req);
	if (rc != 0)
		return task_fail(ctx, -rc, "an outbound request that cannot be made");
	f->heard_us = base_mono_us();
	rc = fetch_loop_add(f->fl, f);
	if (rc != 0)
		return task_fail(ctx, -rc, "an outbound request that cannot be made");
	timer_start(f->fl->loop, &f->timer, f->first_byte_ms, fetch_on_timer);
	while (!f->head_done && !f->done) {
		rc = fetch_wait(ctx, f);
		if (rc != 0)
			return rc;
	}
	if (!f->head_done)
		return fetch_failed(ctx, f);
	*ret = f;
	return 0;
}

int
fetch_status(const struct ins_fetch *f)
{
	CHECK_OBJ(f, FETCH_MAGIC);
	return f->status;
}

ins_str
fetch_header(const struct ins_fetch *f, const char *lower_name)
{
	size_t n = strlen(lower_name);
	const char *p = f->head.p, *end = p + f->head.n, *eol;
	ins_str ret = { NULL, 0 };

	CHECK_OBJ(f, FETCH_MAGIC);
	for (; p != NULL && p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if ((size_t)(eol - p) <= n || p[n] != ':' || strncasecmp(p, lower_name, n) != 0)
			continue;
		p += n + 1;
		while (p < eol && (*p == ' ' || *p == '\t'))
			p++;
		ret.p = p;
		ret.n = (size_t)(eol - p);
		while (ret.n > 0 && (ret.p[ret.n - 1] == ' ' || ret.p[ret.n - 1] == '\t'))
			ret.n--;
		return ret;
	}
	return ret;
}

int
fetch_read(struct ins_ctx *ctx, struct ins_fetch *f, ins_str *ret)
{
	struct str swap;
	int rc;

	CHECK_OBJ(f, FETCH_MAGIC);
	ret->p = NULL;
	ret->n = 0;
	if (ctx->canceled) {
		fetch_close(f);
		return -INS_ECANCELED;
	}
	while (f->unread.n == 0) {
		if (f->done)
			return f->code == 0 ? 0 : fetch_failed(ctx, f);
		rc = fetch_wait(ctx, f);
		if (rc != 0)
			return rc;
	}
	swap = f->read;
	f->read = f->unread;
	f->unread = swap;
	str_reset(&f->unread);
	ret->p = f->read.p;
	ret->n = f->read.n;
	if (f->paused && !f->done) {
		f->paused = 0;
		f->heard_us = base_mono_us();
		/* may call fetch_on_body() with what it kept, right here */
		if (curl_easy_pause(f->easy, CURLPAUSE_CONT) != CURLE_OK)
			fetch_abort(f, INS_EUPSTREAM, "cannot go on");
		if (f->done)
			fetch_loop_remove(f);
	}
	return 1;
}

void
fetch_close(struct ins_fetch *f)
{
	CHECK_OBJ(f, FETCH_MAGIC);
	ASSERT(f->waiter == NULL);
	list_remove(&f->ready);
	timer_stop(f->fl->loop, &f->timer);
	fetch_loop_remove(f);
	if (!f->done) {
		f->done = 1;
		f->code = -INS_ECANCELED;
		f->text = "closed";
	}
	str_reset(&f->unread);
}
