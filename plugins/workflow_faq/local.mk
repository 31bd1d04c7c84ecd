pkgplugin_LTLIBRARIES += plugins/workflow_faq/workflow_faq.la
plugins_workflow_faq_workflow_faq_la_SOURCES = plugins/workflow_faq/workflow_faq.c plugins/workflow_faq/faq.h \
	plugins/workflow_faq/faq_advance.c plugins/workflow_faq/faq_steps.c plugins/workflow_faq/confidence.c \
	plugins/workflow_faq/confidence.h
plugins_workflow_faq_workflow_faq_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_workflow_faq_workflow_faq_la_LIBADD = plugins/text/libtext.la $(JANSSON_LIBS) -lm
EXTRA_DIST += plugins/workflow_faq/README.md
