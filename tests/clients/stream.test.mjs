// Streams that go wrong, clients that leave, and the framing as bytes.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import OpenAI from 'openai';
import { client, drain, hi, key, question, stats, url } from './lib.mjs';

const openai = client();

// One request over a plain socket: status, headers, body, and whether the end was a proper one.
function raw(body, { onData } = {}) {
  return new Promise((resolve, reject) => {
    const req = request(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (piece) => { text += piece; onData?.(text, req); });
      res.on('close', () => resolve({ status: res.statusCode, headers: res.headers, text, complete: res.complete }));
      res.on('error', () => {});
    });
    req.on('error', reject);
    req.end(JSON.stringify(body));
  });
}

const frames = (text) => text.split('\n\n').slice(0, -1);

test('a stream is framed as OpenAI does it', async () => {
  const { status, headers, text, complete } = await raw({ model: 'up-echo', messages: hi, stream: true });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-accel-buffering'], 'no');
  assert.equal(headers['content-length'], undefined);
  assert.equal(headers['content-encoding'], undefined);
  assert.ok(complete);
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  for (const frame of frames(text)) {
    assert.match(frame, /^data: [^\n]+$/);
    if (frame !== 'data: [DONE]') {
      const chunk = JSON.parse(frame.slice(6));
      assert.equal(chunk.object, 'chat.completion.chunk');
    }
  }
  assert.equal(frames(text).filter((f) => f === 'data: [DONE]').length, 1);
});

for (const model of ['up-cut', 'up-cut-clean', 'up-error-mid']) {
  test(`a stream that breaks (${model}) ends with an error frame and without [DONE]`, async () => {
    const { status, text } = await raw({ model, messages: hi, stream: true });
    assert.equal(status, 200);
    assert.ok(!text.includes('[DONE]'));
    const { error } = JSON.parse(frames(text).at(-1).slice(6));
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    assert.equal(error.type, 'server_error');
    assert.ok(!text.includes('finish_reason":"stop"'));

    const seen = await drain(await openai.chat.completions.create({ model, messages: hi, stream: true }));
    assert.ok(seen.error instanceof OpenAI.APIError, 'the client raises');
    assert.notEqual(seen.text, '', 'what came before was delivered');
  });
}

test('an error before the first byte has a status of its own', async () => {
  await assert.rejects(
    openai.chat.completions.create({ model: 'up-status-500', messages: hi, stream: true }),
    OpenAI.InternalServerError);
});

test('pieces arrive as they are made, not in one block', async () => {
  let pieces = 0;
  await raw({ model: 'up-drip-50', messages: hi, stream: true }, { onData: () => { pieces++; } });
  assert.ok(pieces > 10, `${pieces} pieces`);
});

test('a client that leaves cancels the upstream: in the middle of a stream', async () => {
  const before = await stats();
  const controller = new AbortController();
  const stream = await openai.chat.completions.create(
    { model: 'up-hang-mid', messages: hi, stream: true }, { signal: controller.signal });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  controller.abort();
  const after = await stats(`disconnects=${before.disconnects + 1}`);
  assert.equal(after.disconnects, before.disconnects + 1);
});

for (const stream of [true, false]) {
  test(`a client that leaves cancels the upstream: before the first byte, stream: ${stream}`, async () => {
    const before = await stats();
    const controller = new AbortController();
    const pending = openai.chat.completions.create(
      { model: 'up-hang', messages: hi, stream }, { signal: controller.signal });
    pending.catch(() => {});
    await stats(`requests=${before.requests + 1}`);
    controller.abort();
    await assert.rejects(pending, OpenAI.APIUserAbortError);
    const after = await stats(`disconnects=${before.disconnects + 1}`);
    assert.equal(after.disconnects, before.disconnects + 1);
  });
}

test("a run outlives its watcher", async () => {
  let id;
  await raw({ model: 'faq_workflow', messages: question, stream: true }, {
    onData: (text, req) => {
      id ??= /"id":"chatcmpl-([0-9a-f-]+)"/.exec(text)?.[1];
      if (id) req.destroy();
    },
  }).catch(() => {});
  assert.ok(id);
  for (;;) {
    const run = await (await fetch(`${url}/v1/runs/${id}`, { headers: { authorization: `Bearer ${key}` } })).json();
    assert.equal(run.error, undefined);
    if (run.status !== 'running' && run.status !== 'pending') {
      assert.equal(run.status, 'completed');
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('the host serves on after all of this', async () => {
  const response = await fetch(`${url}/livez`);
  assert.equal(response.status, 200);
  const { active } = await stats('active==0');
  assert.equal(active, 0);
});
