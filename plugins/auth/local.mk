# plugins/auth
