/*
 * abi.c: refuses objects that were built for another host, in two steps.
 *
 * First the note, read as bytes: dlopen() runs constructors, so a wrong object must be refused
 * before it. Then the descriptor, whose first four words protect the rest: nothing behind `size` is
 * read before they agree.
 */
#include "plugin/abi.h"

#include <elf.h>

#include "base/base.h"

#define NOTE "INSULA-PLUGIN abi="

static int abi_fail(char err[ABI_ERR_MAX], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
abi_fail(char err[ABI_ERR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, ABI_ERR_MAX, fmt, ap);
	va_end(ap);
	return -1;
}

static int
abi_versions(unsigned major, unsigned minor, char err[ABI_ERR_MAX])
{
	if (major != INS_ABI_MAJOR)
		return abi_fail(err, "abi_major is %u, this host speaks %u: rebuild the plugin",
		    major, INS_ABI_MAJOR);
	if (minor > INS_ABI_MINOR)
		return abi_fail(err,
		    "abi_minor is %u, this host knows up to %u: the host is older than the plugin",
		    minor, INS_ABI_MINOR);
	return 0;
}

/* A number and what ends it. The preprocessor leaves the suffix of the constant: "1u.0u;". */
static int
abi_number(const char *p, char stop, unsigned *ret, const char **ret_end)
{
	char *end;

	*ret = (unsigned)strtoul(p, &end, 10);
	if (end == p || *p == '-')
		return -1;
	end += *end == 'u';
	*ret_end = end + 1;
	return *end == stop ? 0 : -1;
}

int
abi_note(const char *p, size_t n, char err[ABI_ERR_MAX])
{
	const Elf64_Ehdr *eh = (const void *)p;
	char text[32] = "";
	const char *note, *end;
	unsigned major, minor;
	size_t left;

	if (n < sizeof *eh || memcmp(p, ELFMAG, SELFMAG) != 0)
		return abi_fail(err, "not a shared object (no ELF header)");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_type != ET_DYN)
		return abi_fail(err, "not a shared object of this kind of machine");
	note = memmem(p, n, NOTE, sizeof NOTE - 1);
	if (note == NULL)
		return abi_fail(err, "not an Insula plugin (it has no INS_PLUGIN note)");
	note += sizeof NOTE - 1;
	left = n - (size_t)(note - p);
	memcpy(text, note, left < sizeof text - 1 ? left : sizeof text - 1);
	if (abi_number(text, '.', &major, &end) != 0 || abi_number(end, ';', &minor, &end) != 0)
		return abi_fail(err, "its INS_PLUGIN note is malformed");
	return abi_versions(major, minor, err);
}

int
abi_descriptor(const ins_plugin *d, ins_plugin *ret_copy, char err[ABI_ERR_MAX])
{
	if (d == NULL)
		return abi_fail(err, "ins_plugin_entry returned NULL");
	if (d->magic != INS_MAGIC)
		return abi_fail(err, "magic is %08x, expected %08x: not a plugin descriptor",
		    d->magic, INS_MAGIC);
	if (abi_versions(d->abi_major, d->abi_minor, err) != 0)
		return -1;
	/* ABI 1.0 is the shortest there is. A longer one belongs to a later minor, refused above.
	 */
	if (d->size != sizeof *d)
		return abi_fail(err, "size is %u, expected %zu for ABI %u.%u", d->size, sizeof *d,
		    INS_ABI_MAJOR, INS_ABI_MINOR);
	memset(ret_copy, 0, sizeof *ret_copy);
	memcpy(ret_copy, d, d->size);
	if (d->name == NULL || d->version == NULL)
		return abi_fail(err, "%s is NULL", d->name == NULL ? "name" : "version");
	if (ret_copy->summary == NULL)
		ret_copy->summary = "";
	if (d->init == NULL)
		return abi_fail(err, "init is NULL");
	return 0;
}
