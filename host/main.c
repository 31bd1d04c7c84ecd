/* main.c: subcommands and start order, nothing else. */
#include <stdio.h>

int
main(void)
{
	puts("insula " PACKAGE_VERSION);
	return 0;
}
