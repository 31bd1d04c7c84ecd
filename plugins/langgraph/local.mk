# plugins/langgraph: what needs no host is linked into its tests and fuzz targets too
langgraph_pure = plugins/langgraph/langgraph_id.c plugins/langgraph/langgraph_id.h
pkgplugin_LTLIBRARIES += plugins/langgraph/langgraph.la
plugins_langgraph_langgraph_la_SOURCES = $(langgraph_pure) \
	plugins/langgraph/langgraph.c \
	plugins/langgraph/langgraph.h \
	plugins/langgraph/langgraph_assistants.c \
	plugins/langgraph/langgraph_frames.c \
	plugins/langgraph/langgraph_graph.c \
	plugins/langgraph/langgraph_json.c \
	plugins/langgraph/langgraph_messages.c \
	plugins/langgraph/langgraph_run_http.c \
	plugins/langgraph/langgraph_runs.c \
	plugins/langgraph/langgraph_shape.c \
	plugins/langgraph/langgraph_sql.c \
	plugins/langgraph/langgraph_state.c \
	plugins/langgraph/langgraph_store.c \
	plugins/langgraph/langgraph_stream.c \
	plugins/langgraph/langgraph_stream.h \
	plugins/langgraph/langgraph_thread_stream.c \
	plugins/langgraph/langgraph_threads.c \
	plugins/langgraph/langgraph_threads_search.c
plugins_langgraph_langgraph_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_langgraph_langgraph_la_LIBADD = $(JANSSON_LIBS) $(OPENSSL_LIBS)
BUILT_SOURCES += plugins/langgraph/langgraph.inc
CLEANFILES += plugins/langgraph/langgraph.inc
EXTRA_DIST += plugins/langgraph/README.md plugins/langgraph/langgraph.sql
