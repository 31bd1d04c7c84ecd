# Text handling shared by plugins: compiled into each that uses it.
noinst_LTLIBRARIES += plugins/text/libtext.la
plugins_text_libtext_la_SOURCES = plugins/text/terms.c plugins/text/terms.h plugins/text/sentence.c \
	plugins/text/sentence.h
plugins_text_libtext_la_LIBADD = -lstemmer

pkgplugin_LTLIBRARIES += plugins/model_extractive/model_extractive.la
plugins_model_extractive_model_extractive_la_SOURCES = plugins/model_extractive/model_extractive.c \
	plugins/model_extractive/extract.c plugins/model_extractive/extract.h \
	plugins/model_extractive/extract_int.h plugins/model_extractive/extract_join.c
plugins_model_extractive_model_extractive_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_model_extractive_model_extractive_la_LIBADD = plugins/text/libtext.la $(JANSSON_LIBS) -lm
EXTRA_DIST += plugins/model_extractive/README.md
