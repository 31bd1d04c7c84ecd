// The official client of OpenAI: chat, streams, models, errors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { client, drain, hi, question, tenant, token } from './lib.mjs';

const openai = client();

test('a model answers', async () => {
  const { data, response } = await openai.chat.completions
    .create({ model: 'up-echo', messages: hi }).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.match(data.id, /^chatcmpl-/);
  assert.equal(data.model, 'up-echo');
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.match(data.choices[0].message.content, /hello there/);
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.ok(data.usage.prompt_tokens > 0);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(Math.abs(data.created - Date.now() / 1000) < 60);
  assert.equal(response.headers.get('x-insula-model'), 'up-echo');
  assert.equal(response.headers.get('x-insula-attempted-fallbacks'), '0');
  assert.match(response.headers.get('openai-processing-ms'), /^\d+$/);
  assert.ok(data._request_id, 'x-request-id');
});

test('a model streams', async () => {
  const { chunks, error, text } = await drain(
    await openai.chat.completions.create({ model: 'up-echo', messages: hi, stream: true }));
  assert.equal(error, undefined);
  assert.match(text, /hello there/);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
  assert.equal(new Set(chunks.map((c) => c.created)).size, 1);
  assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason),
    [...Array(chunks.length - 1).fill(null), 'stop']);
  assert.ok(chunks.every((c) => !('usage' in c)));
});

test('include_usage adds one chunk without choices, null before', async () => {
  const { chunks } = await drain(await openai.chat.completions.create(
    { model: 'up-echo', messages: hi, stream: true, stream_options: { include_usage: true } }));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.total_tokens > 0);
  assert.ok(chunks.every((c) => c.usage === null));
});

test("the client's stream helper puts the answer together", async () => {
  const runner = openai.chat.completions.stream({ model: 'up-echo', messages: hi });
  const completion = await runner.finalChatCompletion();
  assert.match(completion.choices[0].message.content, /hello there/);
});

test('tool calls come whole, streamed or not', async () => {
  const body = {
    model: 'up-tools', messages: hi,
    tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }],
  };
  const whole = await openai.chat.completions.create(body);
  assert.equal(whole.choices[0].finish_reason, 'tool_calls');
  assert.equal(whole.choices[0].message.tool_calls.length, 2);
  const streamed = await openai.chat.completions.stream(body).finalChatCompletion();
  assert.deepEqual(
    streamed.choices[0].message.tool_calls.map((c) => [c.function.name, c.function.arguments]),
    whole.choices[0].message.tool_calls.map((c) => [c.function.name, c.function.arguments]));
});

test('a model that does not stream is streamed all the same', async () => {
  const { text, error } = await drain(
    await openai.chat.completions.create({ model: 'up-no-stream', messages: hi, stream: true }));
  assert.equal(error, undefined);
  assert.notEqual(text, '');
});

test('a workflow answers from the documents, with citations', async () => {
  const { data, response } = await openai.chat.completions
    .create({ model: 'faq_workflow', messages: question }).withResponse();
  const { message } = data.choices[0];
  assert.match(message.content, /Sostratus/);
  assert.ok(message.citations.length > 0);
  assert.ok(message.citations[0].document_id);
  const run = response.headers.get('x-insula-run-id');
  assert.equal(data.id, `chatcmpl-${run}`);
  assert.equal(data.insula.run_id, run);
  assert.equal(data.model, 'faq_workflow');
});

test('a workflow streams the same answer, with the citations at its end', async () => {
  const whole = await openai.chat.completions.create({ model: 'faq_workflow', messages: question });
  const { chunks, error, text } = await drain(await openai.chat.completions.create({
    model: 'faq_workflow', messages: question, stream: true, stream_options: { include_usage: true },
  }));
  assert.equal(error, undefined);
  assert.equal(text, whole.choices[0].message.content);
  const end = chunks.find((c) => c.choices[0]?.finish_reason);
  assert.ok(end.citations.length > 0);
  assert.ok(end.insula.run_id);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage);
});

test('an answer can be sent back as history, as it came', async () => {
  const first = await openai.chat.completions.create({ model: 'faq_workflow', messages: question });
  const again = await openai.chat.completions.create({
    model: 'up-echo', messages: [...question, first.choices[0].message, ...hi],
  });
  assert.match(again.choices[0].message.content, /hello there/);
});

test('a tier falls back before its first byte', async () => {
  for (const stream of [false, true]) {
    const { data, response } = await openai.chat.completions
      .create({ model: 'LLM', messages: hi, stream }).withResponse();
    const text = stream ? (await drain(data)).text : data.choices[0].message.content;
    assert.match(text, /hello there/);
    assert.equal(response.headers.get('x-insula-model'), 'llm-good');
    assert.equal(response.headers.get('x-insula-tier'), 'LLM');
    assert.equal(response.headers.get('x-insula-attempted-fallbacks'), '1');
  }
});

test('models are listed and retrieved', async () => {
  const models = [];
  for await (const model of openai.models.list()) models.push(model);
  const kinds = Object.fromEntries(models.map((m) => [m.id, m.kind]));
  assert.equal(kinds.LLM, 'tier');
  assert.equal(kinds['up-echo'], 'model');
  assert.equal(kinds.faq_workflow, 'workflow');
  assert.ok(models.every((m) => m.object === 'model' && Number.isInteger(m.created) && m.owned_by));
  const one = await openai.models.retrieve('up-echo');
  assert.equal(one.id, 'up-echo');
  await assert.rejects(openai.models.retrieve('no/such'), OpenAI.NotFoundError);
});

test('a bad key is an AuthenticationError', async () => {
  for (const apiKey of ['sk-nothing', 'isk_nobody_abcdefghijklmnopqrst', 'a.b.c']) {
    await assert.rejects(client({ apiKey }).models.list(), (e) => {
      assert.ok(e instanceof OpenAI.AuthenticationError);
      assert.equal(e.code, 'invalid_api_key');
      assert.ok(!e.message.includes(apiKey), 'the key is not echoed');
      return true;
    });
  }
});

test('an unknown model is a NotFoundError', async () => {
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-nothing', messages: hi }), (e) => {
    assert.ok(e instanceof OpenAI.NotFoundError);
    assert.equal(e.code, 'model_not_found');
    assert.equal(e.param, 'model');
    return true;
  });
});

test('a bad body is a BadRequestError with the place', async () => {
  const cases = [
    [{ messages: [] }, 'messages'],
    [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role'],
    [{ messages: hi, temperature: 3 }, 'temperature'],
    [{ messages: hi, n: 2 }, 'n'],
    [{ messages: hi, stream_options: { include_usage: true } }, 'stream_options'],
    [{ messages: hi, temprature: 1 }, 'temprature'],
  ];
  for (const [body, param] of cases) {
    await assert.rejects(openai.chat.completions.create({ model: 'up-echo', ...body }), (e) => {
      assert.ok(e instanceof OpenAI.BadRequestError, param);
      assert.equal(e.param, param);
      assert.equal(e.type, 'invalid_request_error');
      return true;
    });
  }
});

test('a token without the permission is a PermissionDeniedError', async () => {
  const apiKey = token({ tenant_id: await tenant(), permissions: 'models:read' });
  const limited = client({ apiKey });
  assert.ok((await limited.models.list()).data.length > 0);
  await assert.rejects(limited.chat.completions.create({ model: 'up-echo', messages: hi }), (e) => {
    assert.ok(e instanceof OpenAI.PermissionDeniedError);
    assert.equal(e.code, 'permission_denied');
    return true;
  });
});

test('expired, forged and none tokens are AuthenticationErrors', async () => {
  const tenant_id = await tenant();
  const bad = [
    token({ tenant_id, permissions: '*', exp: 1_600_000_000 }),
    token({ tenant_id, permissions: '*' }, {}, 'x'.repeat(64)),
    token({ tenant_id, permissions: '*' }, { alg: 'none' }),
    token({ tenant_id, permissions: '*', aud: 'else' }),
    token({ tenant_id: '00000000-0000-4000-8000-000000000000', permissions: '*' }),
    token({ permissions: '*' }),
  ];
  for (const apiKey of bad) {
    await assert.rejects(client({ apiKey }).models.list(), OpenAI.AuthenticationError);
  }
});

test('what an upstream does is the error of its class', async () => {
  const failure = (model) => openai.chat.completions.create({ model, messages: hi }).then(
    () => assert.fail(`${model} answered`), (e) => e);
  const limit = await failure('up-status-429');
  assert.ok(limit instanceof OpenAI.RateLimitError);
  assert.equal(limit.headers.get('retry-after'), '7');
  for (const model of ['up-status-500', 'up-bad-json', 'up-cut']) {
    const e = await failure(model);
    assert.ok(e instanceof OpenAI.InternalServerError, model);
    assert.equal(e.status, 502, model);
    assert.ok(!JSON.stringify(e.error).includes('upstream-key'), 'no secret of ours');
  }
});
