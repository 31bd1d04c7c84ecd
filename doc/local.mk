dist_man_MANS += doc/insula.8 doc/insula.yaml.5
