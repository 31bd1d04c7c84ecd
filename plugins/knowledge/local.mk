# plugins/knowledge: what needs no host is linked into its tests and fuzz targets too
knowledge_pure = \
	plugins/knowledge/chunk.c \
	plugins/knowledge/chunk.h \
	plugins/knowledge/multipart.c \
	plugins/knowledge/multipart.h
pkgplugin_LTLIBRARIES += plugins/knowledge/knowledge.la
plugins_knowledge_knowledge_la_SOURCES = $(knowledge_pure) \
	plugins/knowledge/knowledge.c \
	plugins/knowledge/knowledge.h \
	plugins/knowledge/knowledge_bytes.c \
	plugins/knowledge/knowledge_documents.c \
	plugins/knowledge/knowledge_ingest.c \
	plugins/knowledge/knowledge_intake.c \
	plugins/knowledge/knowledge_retrieval.c \
	plugins/knowledge/knowledge_sql.c \
	plugins/knowledge/knowledge_store.c \
	plugins/knowledge/knowledge_uploads.c \
	plugins/knowledge/passages.c \
	plugins/knowledge/passages.h
plugins_knowledge_knowledge_la_CFLAGS = $(AM_CFLAGS) $(UTF8PROC_CFLAGS)
plugins_knowledge_knowledge_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_knowledge_knowledge_la_LIBADD = $(JANSSON_LIBS) $(OPENSSL_LIBS) $(UTF8PROC_LIBS)
BUILT_SOURCES += plugins/knowledge/knowledge.inc
CLEANFILES += plugins/knowledge/knowledge.inc
EXTRA_DIST += plugins/knowledge/README.md plugins/knowledge/knowledge.sql
