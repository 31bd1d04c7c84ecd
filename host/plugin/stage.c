/*
 * stage.c: copies a plugin's file to a private name that carries its content hash, then maps it.
 *
 * The copy is needed because dlopen() of a path whose old content is still mapped gives the old
 * image back (glibc compares device and inode, after a rename not even those help), and because an
 * operator may write to the file while it is mapped. The hash in the name makes one image of equal
 * files. The grants are part of the identity: the image's code reads its API tables through one
 * pointer, so the same file with other grants must be another image.
 *
 * Control thread only. Nothing here calls the plugin but its entry.
 */
#include "plugin/stage.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/abi.h"
#include "plugin/api.h"

static struct {
	char *dir;
	struct list images;
	_Atomic uint64_t opened, closed, leaked; /* read by whoever scrapes the metrics */
} stage;

static int stage_fail(char err[256], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
stage_fail(char err[256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, 256, fmt, ap);
	va_end(ap);
	return -1;
}

int
stage_init(const char *dir, char err[256])
{
	struct dirent *e;
	DIR *d;

	stage.dir = base_printf("%s/stage", dir);
	list_init(&stage.images);
	if (mkdir(stage.dir, 0700) != 0 && errno != EEXIST)
		return stage_fail(err, "%s: %s", stage.dir, strerror(errno));
	d = opendir(stage.dir);
	if (d == NULL)
		return stage_fail(err, "%s: %s", stage.dir, strerror(errno));
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	return 0;
}

void
stage_fini(void)
{
	if (stage.dir != NULL)
		rmdir(stage.dir);
	free(stage.dir);
	stage.dir = NULL;
}

/* Reads the whole file; NULL and err. */
static char *
stage_read(const char *file, size_t *ret_n, char err[256])
{
	struct stat st;
	char *p = NULL;
	ssize_t got = 0;
	size_t n = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		stage_fail(err, "%s: %s", file, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > IMAGE_FILE_MAX) {
		stage_fail(err, "%s: not a regular file of at most %u bytes", file, IMAGE_FILE_MAX);
	} else if (st.st_mode & S_IWOTH) {
		stage_fail(err, "%s: everyone may write to it (chmod o-w)", file);
	} else {
		p = base_alloc((size_t)st.st_size + 1);
		while (
		    n < (size_t)st.st_size && (got = read(fd, p + n, (size_t)st.st_size - n)) > 0)
			n += (size_t)got;
		if (n != (size_t)st.st_size) {
			stage_fail(err, "%s: %s", file,
			    got < 0 ? strerror(errno) : "changed while it was read");
			free(p);
			p = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	*ret_n = n;
	return p;
}

static int
stage_write(const char *path, const char *p, size_t n, char err[256])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	size_t done = 0;
	ssize_t w = 0;

	if (fd < 0)
		return stage_fail(err, "%s: %s", path, strerror(errno));
	while (done < n && (w = write(fd, p + done, n - done)) > 0)
		done += (size_t)w;
	if (done != n)
		stage_fail(err, "%s: %s", path, strerror(w < 0 ? errno : ENOSPC));
	close(fd);
	if (done != n)
		unlink(path);
	return done == n ? 0 : -1;
}

static struct image *
stage_find(const char *name, const char *sha256, uint64_t grant)
{
	struct list *l;

	for (l = stage.images.next; l != &stage.images; l = l->next) {
		struct image *im = CONTAINER_OF(l, struct image, link);
		if (im->grant == grant && strcmp(im->sha256, sha256) == 0 &&
		    strcmp(im->name, name) == 0)
			return im;
	}
	return NULL;
}

/* Maps the staged copy and asks it who it is. */
static int
stage_map(struct image *im, char err[256])
{
	char why[ABI_ERR_MAX], have[128], want[128];
	ins_entry_fn entry;

	errno = 0;
	im->handle = dlopen(im->path, RTLD_NOW | RTLD_LOCAL);
	if (im->handle == NULL)
		return stage_fail(err, "%.180s%s", dlerror(),
		    errno == EPERM ? " (is the state directory mounted noexec?)" : "");
	stage.opened++;
	*(void **)&entry = dlsym(im->handle, "ins_plugin_entry");
	if (entry == NULL)
		return stage_fail(err, "it does not export ins_plugin_entry");
	api_core_fill(&im->api);
	if (abi_descriptor(entry(&im->api), &im->desc, why) != 0)
		return stage_fail(err, "%s", why);
	if (strcmp(im->desc.name, im->name) != 0)
		return stage_fail(err, "it calls itself \"%s\"", im->desc.name);
	if (im->grant != UINT64_MAX && (im->grant & ~im->desc.caps) != 0)
		return stage_fail(err, "caps grants %s, the plugin asks for %s",
		    conf_cap_names(im->grant, have), conf_cap_names(im->desc.caps, want));
	api_grant(&im->api, im->desc.caps & im->grant);
	return 0;
}

static void
stage_unmap(struct image *im)
{
	void *still;

	if (im->handle != NULL) {
		dlclose(im->handle);
		stage.closed++;
		still = dlopen(im->path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
		if (still != NULL) {
			dlclose(still);
			stage.leaked++;
			log_msg(INS_LOG_WARN, "plugin.still_mapped",
			    "%s stays mapped after dlclose (thread-local destructors?)", im->path);
		}
	}
	if (im->path != NULL)
		unlink(im->path);
	free(im->path);
	free(im->name);
	im->magic = 0;
	free(im);
}

struct image *
stage_open(const char *name, const char *file, uint64_t grant, char err[256])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char sha256[65], why[ABI_ERR_MAX], caps[32] = "";
	struct image *im;
	unsigned md_n;
	size_t n;
	char *p = stage_read(file, &n, err);

	if (p == NULL)
		return NULL;
	AN(EVP_Digest(p, n, md, &md_n, EVP_sha256(), NULL));
	base_hex(sha256, md, 32);
	im = stage_find(name, sha256, grant);
	if (im != NULL) {
		free(p);
		return stage_ref(im);
	}
	if (abi_note(p, n, why) != 0) {
		stage_fail(err, "%s: %s", file, why);
		free(p);
		return NULL;
	}
	im = base_alloc(sizeof *im);
	im->magic = IMAGE_MAGIC;
	im->refs = 1;
	im->name = base_strdup(name);
	im->grant = grant;
	memcpy(im->sha256, sha256, sizeof sha256);
	list_init(&im->link);
	if (grant != UINT64_MAX)
		snprintf(caps, sizeof caps, ".caps%llx", (unsigned long long)grant);
	im->path = base_printf("%s/%s.%.12s%s.so", stage.dir, name, sha256, caps);
	if (stage_write(im->path, p, n, err) != 0) {
		free(im->path);
		im->path = NULL; /* not ours: a leaked image of the same content may have it */
		stage_unmap(im);
		im = NULL;
	} else if (stage_map(im, why) != 0) {
		stage_fail(err, "%s: %s", file, why);
		stage_unmap(im);
		im = NULL;
	} else {
		list_append(&stage.images, &im->link);
	}
	free(p);
	return im;
}

struct image *
stage_ref(struct image *im)
{
	CHECK_OBJ(im, IMAGE_MAGIC);
	im->refs++;
	return im;
}

void
stage_close(struct image *im)
{
	CHECK_OBJ(im, IMAGE_MAGIC);
	ASSERT(im->refs > 0);
	if (--im->refs == 0) {
		list_remove(&im->link);
		stage_unmap(im);
	}
}

/* Its reference is kept on purpose, so that the image can be shared again but never unmapped. */
void
stage_leak(struct image *im, const char *why)
{
	CHECK_OBJ(im, IMAGE_MAGIC);
	stage.leaked++;
	log_event(INS_LOG_ERROR, "plugin.kept_mapped",
	    json_pack("{s:s, s:s, s:s}", "plugin", im->name, "image", im->path, "why", why));
}

unsigned
stage_images(const char *name)
{
	struct list *l;
	unsigned n = 0;

	for (l = stage.images.next; l != &stage.images; l = l->next)
		n += strcmp(CONTAINER_OF(l, struct image, link)->name, name) == 0;
	return n;
}

uint64_t
stage_opened(void)
{
	return stage.opened;
}

uint64_t
stage_closed(void)
{
	return stage.closed;
}

uint64_t
stage_leaked(void)
{
	return stage.leaked;
}
