/* fetch_int.h: shared by fetch.c (one exchange), fetch_loop.c (libcurl's multi interface on a loop)
 * and fetch_addr.c (closed addresses). */
#ifndef HOST_FETCH_INT_H
#define HOST_FETCH_INT_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/task.h"
#include "net/fetch.h"

#define FETCH_LIVE_MAX 2048u     /* exchanges of one loop; more are refused, -INS_EUNAVAILABLE */
#define FETCH_IDLE_CONNS_MAX 64L /* connections kept for the next exchange, per loop and class */
#define FETCH_UNREAD_MAX (256u << 10) /* bytes that wait for a reader; then the peer waits */
#define FETCH_HEAD_MAX (64u << 10)    /* of the answer's header */
#define FETCH_BODY_MAX (8 << 20)      /* of an answer, unless the request says otherwise */
#define FETCH_CONNECT_MS 5000
#define FETCH_FIRST_BYTE_MS 60000
#define FETCH_IDLE_MS 60000
#define FETCH_TOTAL_MS 600000
#define FETCH_MAGIC 0x46455443u

/*
 * Two multi handles: what may go to private addresses shares no connection with what may not, for a
 * kept connection is used again without asking where it leads.
 */
struct fetch_loop {
	struct ins_loop *loop;
	struct fetch_multi {
		struct fetch_loop *fl;
		CURLM *curl;
		struct timer timer;
	} multi[2];        /* by INS_FETCH_PRIVATE */
	struct list live;  /* struct ins_fetch.link */
	struct list ready; /* struct ins_fetch.ready: waiters to wake once libcurl has returned */
	unsigned n_live;
	int inside; /* libcurl is on the stack */
};

struct ins_fetch {
	uint32_t magic;
	struct fetch_loop *fl;
	struct fetch_multi *multi; /* NULL once taken out */
	struct list link, ready;
	CURL *easy;
	struct curl_slist *headers;
	struct ins_ctx *waiter;
	struct timer timer; /* first byte, then idle */
	int64_t first_byte_ms, idle_ms, heard_us;
	int flags, status;
	int head_done; /* the last header line of the final answer is in */
	int denied;    /* by fetch_addr_closed() */
	int paused, done;
	int code; /* once done: 0 or -INS_E* */
	int64_t bytes, max_bytes;
	struct str head;         /* "name: value\n" lines */
	struct str unread, read; /* read is what the caller holds */
	char detail[CURL_ERROR_SIZE];
	const char *text;
};

struct fetch_loop *fetch_loop_self(void); /* of the current loop */
int fetch_loop_add(struct fetch_loop *, struct ins_fetch *);
void fetch_loop_remove(struct ins_fetch *);
/* After anything that may have made a fetch ready. Wakes at once on the loop's stack. */
void fetch_loop_wake(struct fetch_loop *);
void fetch_ready(struct ins_fetch *);
void fetch_finish(struct ins_fetch *, CURLcode); /* by fetch_loop.c: libcurl is through with it */

int fetch_addr_closed(const struct sockaddr *);

#endif
