/* sock_info.c: what only the kernel knows of a connection. Apart from sock.c because <linux/tcp.h>,
 * which has the byte counts, and <netinet/tcp.h>, which uv.h includes, exclude each other. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

uint64_t sock_received(int fd); /* as in sock.h */

uint64_t
sock_received(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_received;
}
