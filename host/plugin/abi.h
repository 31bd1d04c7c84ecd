/* abi.h: may this object be loaded at all? Pure functions over bytes; any thread. */
#ifndef HOST_ABI_H
#define HOST_ABI_H

#include <insula/insula.h>

#define ABI_ERR_MAX 256

/* Looks for the note that INS_PLUGIN() leaves in the file, before anything of it is mapped. 0, or
 * -1 with a sentence in err. */
int abi_note(const char *p, size_t n, char err[ABI_ERR_MAX]);
/* Checks what the entry returned and copies it, so that an older, shorter descriptor reads as one
 * of ours with zeros at its end. The sentence names the field that differs. */
int abi_descriptor(const ins_plugin *, ins_plugin *ret_copy, char err[ABI_ERR_MAX]);

#endif
