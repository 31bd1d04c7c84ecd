# plugins/model_openai
pkgplugin_LTLIBRARIES += plugins/model_openai/model_openai.la
model_openai_pure = \
	plugins/model_openai/model_openai_answer.c plugins/model_openai/model_openai_answer.h \
	plugins/model_openai/model_openai_buf.c plugins/model_openai/model_openai_buf.h \
	plugins/model_openai/model_openai_cite.c plugins/model_openai/model_openai_cite.h \
	plugins/model_openai/model_openai_conf.c plugins/model_openai/model_openai_conf.h \
	plugins/model_openai/model_openai_error.c plugins/model_openai/model_openai_error.h \
	plugins/model_openai/model_openai_request.c plugins/model_openai/model_openai_request.h \
	plugins/model_openai/model_openai_sse.c plugins/model_openai/model_openai_sse.h
plugins_model_openai_model_openai_la_SOURCES = $(model_openai_pure) \
	plugins/model_openai/model_openai.c \
	plugins/model_openai/model_openai_call.c plugins/model_openai/model_openai_call.h
plugins_model_openai_model_openai_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_model_openai_model_openai_la_LIBADD = $(JANSSON_LIBS)
EXTRA_DIST += plugins/model_openai/README.md
