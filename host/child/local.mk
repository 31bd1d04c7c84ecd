host_libhost_a_SOURCES += \
	host/child/child.h
