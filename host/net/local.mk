host_libhost_a_SOURCES += \
	host/net/fetch.h \
	host/net/http.h \
	host/net/route.h \
	host/net/tls.h
