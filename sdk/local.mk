insulaincludedir = $(includedir)/insula
insulainclude_HEADERS = \
	sdk/include/insula/auth.h \
	sdk/include/insula/child.h \
	sdk/include/insula/engine.h \
	sdk/include/insula/insula.h \
	sdk/include/insula/meter.h \
	sdk/include/insula/model.h \
	sdk/include/insula/policy.h \
	sdk/include/insula/retriever.h \
	sdk/include/insula/runs.h \
	sdk/include/insula/workflow.h \
	sdk/include/insula/wrappers.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = sdk/insula.pc
