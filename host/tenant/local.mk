host_libhost_a_SOURCES += \
	host/tenant/tenant.h
