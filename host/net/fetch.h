/*
 * fetch.h: outbound HTTP by libcurl's multi interface on the loop. One multi handle per loop.
 *
 * Only http and https; redirects are not followed; the address that was resolved is checked before
 * connecting: loopback, private, link-local, multicast and unspecified addresses are refused unless
 * INS_FETCH_PRIVATE is set. Cancelling the task closes the connection to the peer at once. The
 * transfer is paused while 256 KiB wait unread.
 */
#ifndef HOST_FETCH_H
#define HOST_FETCH_H

#include <insula/insula.h>

#include "loop/task.h"

void fetch_init(void); /* control thread, before the loops start */
void fetch_loop_start(struct ins_loop *);
void fetch_loop_stop(struct ins_loop *);
int fetch_open(struct ins_ctx *, const ins_fetch_request *, struct ins_fetch **ret);
int fetch_status(const struct ins_fetch *);
ins_str fetch_header(const struct ins_fetch *, const char *lower_name);
int fetch_read(struct ins_ctx *, struct ins_fetch *, ins_str *ret);
void fetch_close(struct ins_fetch *);

#endif
