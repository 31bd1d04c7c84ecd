# plugins/runs
