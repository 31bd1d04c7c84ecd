host_libhost_a_SOURCES += \
	host/child/child.c \
	host/child/child.h

# The extraction program, alone in its process; its formats are linked into tests and fuzz targets too.
extract_sources = \
	host/child/charset.c \
	host/child/doc.c \
	host/child/doc.h \
	host/child/extract_html.c \
	host/child/extract_text.c
extract_cflags = $(AM_CFLAGS) $(XML_CFLAGS) $(CMARK_CFLAGS) $(SECCOMP_CFLAGS) $(UTF8PROC_CFLAGS)
extract_libs = $(XML_LIBS) $(CMARK_LIBS) $(UTF8PROC_LIBS)

pkglibexec_PROGRAMS += host/child/insula-extract
host_child_insula_extract_SOURCES = $(extract_sources) \
	host/child/extract.c \
	host/child/sandbox.c \
	host/child/sandbox.h
host_child_insula_extract_CFLAGS = $(extract_cflags)
host_child_insula_extract_LDADD = $(extract_libs) $(SECCOMP_LIBS)
