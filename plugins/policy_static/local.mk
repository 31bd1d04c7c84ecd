# plugins/policy_static
