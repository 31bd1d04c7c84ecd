# plugins/index_local: the index itself is pure and linked into its tests and bench too
index_sources = \
	plugins/index_local/analyze.c \
	plugins/index_local/analyze.h \
	plugins/index_local/index.c \
	plugins/index_local/index.h \
	plugins/index_local/index_search.c \
	plugins/index_local/segment.c \
	plugins/index_local/segment.h \
	plugins/index_local/tenants.c \
	plugins/index_local/tenants.h
index_libs = -lstemmer $(UTF8PROC_LIBS) -lm
pkgplugin_LTLIBRARIES += plugins/index_local/index_local.la
plugins_index_local_index_local_la_SOURCES = $(index_sources) \
	plugins/index_local/index_local.c \
	plugins/index_local/index_local.h \
	plugins/index_local/index_local_answer.c \
	plugins/index_local/index_local_filter.c \
	plugins/index_local/index_local_pull.c
plugins_index_local_index_local_la_CFLAGS = $(AM_CFLAGS) $(UTF8PROC_CFLAGS)
plugins_index_local_index_local_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_index_local_index_local_la_LIBADD = $(index_libs) $(JANSSON_LIBS)
EXTRA_DIST += plugins/index_local/README.md
