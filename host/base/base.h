/*
 * base.h: asserts, magics and small macros. Every host file includes it first.
 *
 * Asserts are executable comments and stay on in production: ASSERT for what cannot happen,
 * CHECK_OBJ for a long-lived struct that must be what its pointer says. A failing one prints where,
 * and aborts.
 */
#ifndef HOST_BASE_H
#define HOST_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INS_HOST_VERSION PACKAGE_VERSION

/* Which sanitizer this build has: gcc defines macros, clang answers __has_feature. */
#if defined(__has_feature)
#define BASE_HAS_FEATURE(x) __has_feature(x)
#else
#define BASE_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || BASE_HAS_FEATURE(address_sanitizer)
#define BASE_ASAN 1
#else
#define BASE_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || BASE_HAS_FEATURE(thread_sanitizer)
#define BASE_TSAN 1
#else
#define BASE_TSAN 0
#endif

void base_panic(const char *file, int line, const char *func, const char *what)
    __attribute__((noreturn));

#define ASSERT(x)                                                     \
	do {                                                          \
		if (__builtin_expect(!(x), 0))                        \
			base_panic(__FILE__, __LINE__, __func__, #x); \
	} while (0)
#define AN(x) ASSERT((x) != 0)
#define AZ(x) ASSERT((x) == 0)
#define CHECK_OBJ(p, m)                    \
	do {                               \
		ASSERT((p) != NULL);       \
		ASSERT((p)->magic == (m)); \
	} while (0)

#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* malloc family that aborts: for the host's own long-lived objects, whose size no client controls.
 */
void *base_alloc(size_t n) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *base_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *base_strdup(const char *z) __attribute__((malloc, returns_nonnull));
char *base_printf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

int64_t base_now_us(void);  /* since 1970 */
int64_t base_mono_us(void); /* never jumps */
void base_random(void *p, size_t n);
void base_uuid7(char out[37]);
void base_hex(char *out, const void *p, size_t n); /* writes 2n + 1 */

/* Intrusive doubly linked list; a head is a node that points at itself. */
struct list {
	struct list *prev, *next;
};
static inline void
list_init(struct list *l)
{
	l->prev = l->next = l;
}
static inline int
list_empty(const struct list *l)
{
	return l->next == l;
}
static inline void
list_append(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}
static inline void
list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
#define LIST_FIRST(head, type, member) CONTAINER_OF((head)->next, type, member)

#endif
