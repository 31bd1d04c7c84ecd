# A sample, never over an operator's file.
insulaconfdir = $(pkgdatadir)
dist_insulaconf_DATA = etc/insula.yaml etc/prices.yaml
# Laid over it by --profile NAME.
insulaprofilesdir = $(pkgdatadir)/profiles
dist_insulaprofiles_DATA = etc/profiles/all.yaml etc/profiles/gateway.yaml etc/profiles/orchestrator.yaml
