/* hello.h: what the two files of the plugin share. */
#ifndef HELLO_H
#define HELLO_H

#include <insula/insula.h>

struct hello {
	const char *greeting;
	ins_host *host;
};

int hello_ws_init(ins_host *);

#endif
