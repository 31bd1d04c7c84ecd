# A sample, never over an operator's file.
insulaconfdir = $(pkgdatadir)
dist_insulaconf_DATA = etc/insula.yaml etc/prices.yaml
