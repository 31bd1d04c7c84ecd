# plugins/openai
OPENAI_PURE = plugins/openai/openai_input.c plugins/openai/openai_reply.c plugins/openai/openai_reply.h \
	plugins/openai/openai_request.c plugins/openai/openai_request.h
pkgplugin_LTLIBRARIES += plugins/openai/openai.la
plugins_openai_openai_la_SOURCES = plugins/openai/openai.c plugins/openai/openai.h \
	plugins/openai/openai_answer.c plugins/openai/openai_chat_models.c \
	plugins/openai/openai_chat_workflow.c plugins/openai/openai_meter.c plugins/openai/openai_models.c $(OPENAI_PURE)
plugins_openai_openai_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_openai_openai_la_LIBADD = $(JANSSON_LIBS)
EXTRA_DIST += plugins/openai/README.md
