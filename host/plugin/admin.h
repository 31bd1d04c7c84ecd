/* admin.h: the admin socket: HTTP and JSON on a unix socket that only its owner may open. */
#ifndef HOST_ADMIN_H
#define HOST_ADMIN_H

struct http_req;

/* The listener's entry, on loop 0; the work is done on the control thread. */
void admin_entry(struct http_req *);

#endif
