/* sandbox.h: what insula-extract gives up before it reads the first byte of a document. */
#ifndef HOST_CHILD_SANDBOX_H
#define HOST_CHILD_SANDBOX_H

#include <stdint.h>

#define SANDBOX_CPU_S 10u
#define SANDBOX_ADDRESS_SPACE (512u << 20)
#define SANDBOX_FILE_SIZE \
	(256u << 20) /* of a standard output that is a file; opening one is forbidden */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif

/*
 * Closes every descriptor above 2, sets limits on processor time, address space, files and
 * processes, and loads a system call filter: memory, read, write, exit and a clock remain; anything
 * else kills the process. 0, or -1 with a sentence on standard error: then no document may be read.
 */
int sandbox_enter(void);

#endif
