// config.mjs PORT GRAPHS: prints the configuration that is laid over the one of `insula dev`: the test upstream's models,
// a key for tokens, and the graphs of tests/plugins.
const config = {
  plugins: {
    graphs: { file: process.argv[3] },
    auth: {
      config: {
        recheck: '200ms',
        keys: [{ alg: 'HS256', secret: '${INSULA_TEST_SECRET}', issuer: 'clients', audience: 'insula', leeway: '0s' }],
      },
    },
    model_openai: {
      config: {
        providers: [{
          name: 'upstream',
          base_url: `http://127.0.0.1:${process.argv[2]}/v1`,
          api_key: 'upstream-key',
          private_addresses: true,
          timeouts: { connect: '2s', first_byte: '20s', idle: '20s', total: '30s' },
          models: [
            ...['up-echo', 'up-tools', 'up-cut', 'up-cut-clean', 'up-error-mid', 'up-no-done', 'up-drip-50',
              'up-hang', 'up-hang-mid', 'up-status-429', 'up-status-500', 'up-bad-json', 'up-no-stream', 'up-cite',
            ].map((id) => ({ id, tier: 'SLM_B' })),
            // The tier LLM: the first fails before its first byte, the second answers.
            { id: 'llm-broken', upstream_model: 'up-status-503', tier: 'LLM' },
            { id: 'llm-good', upstream_model: 'up-echo', tier: 'LLM' },
          ],
        }],
      },
    },
  },
};
console.log(JSON.stringify(config, null, 2));
