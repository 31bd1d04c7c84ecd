// LangGraph's SDK, unmodified: the script that LangGraph's own server was recorded with, and what only ours promises.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { test } from 'node:test';
import { Client } from '@langchain/langgraph-sdk';
import { differences, explain, json } from './langgraph-compare.mjs';
import { collect, names, transcript, until } from './langgraph-script.mjs';
import { key, url } from './lib.mjs';

const client = new Client({ apiUrl: url, apiKey: key, callerOptions: { maxRetries: 0 } });
const oracle = json('langgraph-oracle.json');
const rules = json('langgraph-differences.json');
const hello = { messages: [{ role: 'user', content: 'hello there' }] };
const ours = {};

for (const name of names) {
  test(`the script: ${name}`, async () => {
    Object.assign(ours, await transcript(client, [name]));
    const { rest } = explain(differences({ [name]: ours[name] }, { [name]: oracle[name] }), rules);
    assert.deepEqual(rest, [], 'differences from LangGraph that langgraph-differences.json does not list');
  });
}

test('every listed difference is one', () => {
  if (process.env.TRANSCRIPT) writeFileSync(process.env.TRANSCRIPT, JSON.stringify(ours, null, 1));
  assert.deepEqual(Object.keys(ours), names, 'the script ran whole');
  assert.deepEqual(explain(differences(ours, oracle), rules).unused, []);
  for (const { why } of rules) assert.match(why, /\w{3,}.* /);
});

// One request as bytes: status, headers, and the server-sent events with their ids.
function raw(method, path, { body, headers = {}, until: stop } = {}) {
  return new Promise((resolve, reject) => {
    const req = request(url + path, {
      method, headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
    }, (res) => {
      let text = '';
      const end = () => resolve({ status: res.statusCode, headers: res.headers, text, frames: frames(text) });
      res.setEncoding('utf8');
      res.on('data', (piece) => {
        text += piece;
        if (stop?.(frames(text))) { end(); req.destroy(); }
      });
      res.on('close', end);
      res.on('error', () => {});
    });
    req.on('error', reject);
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const frames = (text) => text.split('\n\n').slice(0, -1).filter((f) => !f.startsWith(':')).map((f) => {
  const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(f)?.[1];
  return { event: field('event'), id: field('id'), data: JSON.parse(field('data')) };
});

test('every event has an id, and a client that lost the connection goes on from any of them', async () => {
  const { thread_id } = await client.threads.create();
  const modes = ['values', 'updates', 'tasks', 'checkpoints', 'debug'];
  const whole = await raw('POST', `/threads/${thread_id}/runs/stream`,
    { body: { assistant_id: 'agent', input: hello, stream_mode: modes } });
  assert.equal(whole.status, 200);
  assert.match(whole.headers['content-type'], /^text\/event-stream/);
  const run = `/threads/${thread_id}/runs/${whole.frames[0].data.run_id}`;
  assert.equal(whole.headers['content-location'], run);
  assert.ok(whole.headers.location.startsWith(`${run}/stream?stream_mode=`));
  assert.equal(whole.frames[0].event, 'metadata');
  assert.equal(new Set(whole.frames.map((f) => f.id)).size, whole.frames.length);
  for (const { id } of whole.frames) assert.match(id, /^(-1|\d+(-\d+)?)$/);
  for (let i = 0; i < whole.frames.length; i++) {
    const rest = await raw('GET', whole.headers.location, { headers: { 'last-event-id': whole.frames[i].id } });
    assert.deepEqual(rest.frames, whole.frames.slice(i + 1), `after ${whole.frames[i].id}`);
  }
  const bad = await raw('GET', whole.headers.location, { headers: { 'last-event-id': '1x' } });
  assert.equal(bad.status, 400);
});

test('pieces of a stream have ids after the event that they follow', async () => {
  const { frames: all } = await raw('POST', '/runs/stream',
    { body: { assistant_id: 'echo', input: hello, stream_mode: ['messages-tuple', 'values'] } });
  const pieces = all.filter((f) => f.event === 'messages');
  assert.equal(pieces.length, 'You said: hello there'.length);
  assert.deepEqual(pieces.map((f) => f.id), pieces.map((_, i) => `${pieces[0].id.split('.')[0]}.${i + 1}`));
  // The message that the step returns is the one that was streamed.
  const last = all.filter((f) => f.event === 'values').at(-1).data.messages.at(-1);
  assert.ok(pieces.every((f) => f.data[0].id === last.id));
  assert.equal(last.content, 'You said: hello there');
});

test('a run goes on without its client, and is joined again by another', async () => {
  const { thread_id } = await client.threads.create();
  const first = await raw('POST', `/threads/${thread_id}/runs/stream`, {
    body: { assistant_id: 'slow', input: { ms: 300 }, stream_mode: 'values' }, until: (f) => f.length >= 2,
  });
  const { run_id } = first.frames[0].data;
  const joined = await collect(client.runs.joinStream(thread_id, run_id, { lastEventId: first.frames.at(-1).id, streamMode: ['values'] }));
  assert.equal(joined.events.values.at(-1).slept, 300);
  assert.equal((await client.runs.get(thread_id, run_id)).status, 'success');
});

test('who joins without modes gets those of who began the run', async () => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, 'agent', { input: hello, streamMode: ['updates', 'tasks'] });
  const joined = await collect(client.runs.joinStream(thread_id, run_id));
  assert.deepEqual(Object.keys(joined.events).sort(), ['metadata', 'tasks', 'updates']);
});

test('on_disconnect: cancel ends the run with its client', async () => {
  const { thread_id } = await client.threads.create();
  const { frames: seen } = await raw('POST', `/threads/${thread_id}/runs/stream`, {
    body: { assistant_id: 'slow', input: { ms: 20000 }, on_disconnect: 'cancel' }, until: (f) => f.length >= 2,
  });
  const run = await until(() => client.runs.get(thread_id, seen[0].data.run_id), (r) => r.status !== 'running' && r.status !== 'pending');
  assert.equal(run.status, 'interrupted');
});

test('lists come in pages', async () => {
  for (let i = 0; i < 3; i++) await client.threads.create({ metadata: { paged: true } });
  const body = { metadata: { paged: true }, limit: 2 };
  const first = await raw('POST', '/threads/search', { body });
  assert.equal(first.headers['x-pagination-next'], '2');
  assert.equal(first.headers['x-pagination-total'], '3');
  const second = await raw('POST', '/threads/search', { body: { ...body, offset: 2 } });
  assert.equal(second.headers['x-pagination-next'], undefined);
  assert.equal(second.headers['x-pagination-total'], '3');
  const all = [...JSON.parse(first.text), ...JSON.parse(second.text)];
  assert.equal(new Set(all.map((t) => t.thread_id)).size, 3);
});

test('what is waited for can be found again', async () => {
  const { thread_id } = await client.threads.create();
  const { headers, text } = await raw('POST', `/threads/${thread_id}/runs/wait`, { body: { assistant_id: 'echo', input: hello } });
  assert.match(headers['content-location'], new RegExp(`^/threads/${thread_id}/runs/[0-9a-f-]{36}$`));
  const again = await raw('GET', headers.location);
  assert.deepEqual(JSON.parse(again.text), JSON.parse(text));
});
