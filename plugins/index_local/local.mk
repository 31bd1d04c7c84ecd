# plugins/index_local
