host_libhost_a_SOURCES += \
	host/tenant/tenant.h \
	host/tenant/tenant_admin.c \
	host/tenant/tenant_key.c \
	host/tenant/tenant_lookup.c
