/* stage.h: from a plugin's file to a mapped image, and back to nothing. Control thread only. */
#ifndef HOST_STAGE_H
#define HOST_STAGE_H

#include <insula/insula.h>

#include "base/base.h"

#define IMAGE_MAGIC 0x494d4147u
#define IMAGES_PER_PLUGIN_MAX 8    /* live at once, of one name */
#define IMAGE_FILE_MAX (64u << 20) /* bytes */

struct image {
	uint32_t magic;
	int refs;
	char *name;      /* of the plugin */
	char sha256[65]; /* of the file */
	char *path;      /* staged copy */
	uint64_t grant;  /* as the configuration has it */
	void *handle;
	ins_plugin desc; /* copy of the descriptor */
	ins_api api;     /* what the image's code sees: asked and granted */
	struct list link;
};

/* Prepares the private directory; leftovers of an earlier process in it are removed. */
int stage_init(const char *dir, char err[256]);
void stage_fini(void);
/*
 * The image of a file with these grants; the same content and grants give the same image, counted
 * once more. NULL and a sentence in err. -- The name must be the descriptor's.
 */
struct image *stage_open(const char *name, const char *file, uint64_t grant, char err[256]);
struct image *stage_ref(struct image *);
/* Lets go; the last one unmaps, checks that the image is gone, and unlinks the copy. */
void stage_close(struct image *);
/* As stage_close, but the image stays mapped for ever: something of it may still be referred to. */
void stage_leak(struct image *, const char *why);
unsigned stage_images(const char *name); /* live ones of a plugin */
/* Any thread. */
uint64_t stage_opened(void), stage_closed(void), stage_leaked(void);

#endif
