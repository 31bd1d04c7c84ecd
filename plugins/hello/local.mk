pkgplugin_LTLIBRARIES += plugins/hello/hello.la
plugins_hello_hello_la_SOURCES = plugins/hello/hello.c plugins/hello/hello.h \
	plugins/hello/hello_ws.c
plugins_hello_hello_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_hello_hello_la_LIBADD = $(JANSSON_LIBS)
EXTRA_DIST += plugins/hello/README.md
