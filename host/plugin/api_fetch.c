/* api_fetch.c: outbound HTTP, and sandboxed helpers: both go straight to the layer below. */
#include "child/child.h"
#include "net/fetch.h"
#include "plugin/api.h"

const ins_fetch_api api_fetch = {
	.size = sizeof(ins_fetch_api),
	.open = fetch_open,
	.status = fetch_status,
	.header = fetch_header,
	.read = fetch_read,
	.close = fetch_close,
};

const ins_child_api api_child = {
	.size = sizeof(ins_child_api),
	.run = child_run,
};
