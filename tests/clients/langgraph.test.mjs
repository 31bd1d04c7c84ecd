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

test('an id that the run never gave is refused, and none of its events is told twice', async () => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, 'echo', { input: hello });
  await client.runs.join(thread_id, run_id);
  const after = (id) => raw('GET', `/threads/${thread_id}/runs/${run_id}/stream`, { headers: { 'last-event-id': id } });
  for (const id of ['999', '-2', '-1-1', '99999999999999', 'x', '1.', '1-', '1.x', '01']) assert.equal((await after(id)).status, 400, id);
  assert.deepEqual((await after('1')).frames, []);
  assert.deepEqual((await after('1-99')).frames, []);
  // A client that shows a state already gets what came after it.
  const [now, first] = await client.threads.getHistory(thread_id);
  const rest = (state) => collect(client.runs.joinStream(thread_id, run_id, { lastEventId: '-1', checkpointId: state.checkpoint.checkpoint_id }));
  assert.deepEqual((await rest(now)).ids, []);
  assert.deepEqual((await rest(first)).ids, ['1']);
});

test('a thread is joined for all its runs: past, present and next', async () => {
  const { thread_id } = await client.threads.create();
  const first = await client.runs.create(thread_id, 'echo', { input: hello, streamMode: 'updates' });
  await client.runs.join(thread_id, first.run_id);
  const seen = [], leave = new AbortController(); // the stream has no end of its own
  const reading = (async () => {
    for await (const part of client.threads.joinStream(thread_id, { lastEventId: '-1', signal: leave.signal })) {
      seen.push(part);
      if (part.event === 'metadata' && part.data.status === 'run_done' && seen.filter((p) => p.data.status === 'run_done').length === 3) break;
    }
  })();
  const second = await client.runs.create(thread_id, 'agent', { input: hello });
  const third = await client.runs.create(thread_id, 'echo', { input: hello, streamMode: 'updates' });
  await reading;
  leave.abort();
  const runs = [first, second, third].map((r) => r.run_id);
  assert.deepEqual(seen.filter((p) => p.event === 'metadata').map((p) => [p.data.run_id, p.data.status ?? p.data.attempt]),
    runs.flatMap((id) => [[id, 1], [id, 'run_done']]));
  // Each run is told in the modes that its creator asked for, under ids that name it.
  assert.ok(seen.every((p) => runs.includes(p.id.slice(0, 36)) && p.id[36] === ':'));
  const modes = (id) => [...new Set(seen.filter((p) => p.id.startsWith(id)).map((p) => p.event))].sort();
  assert.deepEqual(runs.map(modes), [['metadata', 'updates'], ['metadata', 'values'], ['metadata', 'updates']]);
  assert.equal(new Set(seen.map((p) => p.id)).size, seen.length);
  // From any of them a client that is back goes on where it was.
  for (let i = 0; i < seen.length - 1; i++) {
    const { frames: rest } = await raw('GET', `/threads/${thread_id}/stream`, {
      headers: { 'last-event-id': seen[i].id }, until: (f) => f.length >= seen.length - 1 - i,
    });
    assert.deepEqual(rest, seen.slice(i + 1).map(({ event, id, data }) => ({ event, id, data })), `after ${seen[i].id}`);
  }
});

test('a thread is joined while a run is under way, for its beginnings and ends, and for edits', async () => {
  const { thread_id } = await client.threads.create();
  await client.runs.wait(thread_id, 'echo', { input: hello });
  const slow = await client.runs.create(thread_id, 'slow', { input: { ms: 600 } });
  await until(() => client.runs.get(thread_id, slow.run_id), (r) => r.status === 'running');
  const seen = [], leave = new AbortController();
  const reading = (async () => {
    for await (const part of client.threads.joinStream(thread_id, {
      streamMode: ['lifecycle', 'state_update'], signal: leave.signal,
    })) {
      seen.push(part);
      if (part.event === 'state_update') break;
    }
  })();
  await client.runs.join(thread_id, slow.run_id);
  await client.threads.updateState(thread_id, { values: { slept: 7 } });
  await reading;
  leave.abort();
  assert.deepEqual(seen.map((p) => [p.event, p.data.status ?? p.data.attempt ?? p.data.state.values.slept]),
    [['metadata', 1], ['metadata', 'run_done'], ['state_update', 7]]);
  assert.equal(seen[2].data.thread_id, thread_id);
  for (const id of ['x', '7', `${slow.run_id}`, `${slow.run_id}:`, `${slow.run_id}:x`, `${slow.run_id}:999`, `${thread_id}:0`]) {
    const bad = await raw('GET', `/threads/${thread_id}/stream`, { headers: { 'last-event-id': id } });
    assert.equal(bad.status, 400, id);
  }
  assert.equal((await raw('GET', `/threads/${thread_id}/stream?stream_mode=values`)).status, 400);
  assert.equal((await raw('GET', `/threads/${slow.run_id}/stream`)).status, 404);
});

test('what the SDK can ask for is done, or refused by its name', async () => {
  const { thread_id } = await client.threads.create({ graphId: 'echo' });
  const { run_id } = await client.runs.create(thread_id, 'echo', { input: hello });
  await client.runs.join(thread_id, run_id);
  const refused = async (promise, param) => {
    const error = await promise.then(() => null, (e) => e);
    assert.equal(error?.status, 400, param);
    assert.ok(error.message.includes(`"param":"${param}"`), `${param}: ${error.message}`);
  };
  const runs = (options) => client.runs.create(thread_id, 'echo', { input: hello, ...options });
  await refused(runs({ webhook: 'https://example.org' }), 'webhook');
  await refused(runs({ feedbackKeys: ['x'] }), 'feedback_keys');
  await refused(runs({ durability: 'banana' }), 'durability');
  await refused(runs({ config: { recursion_limit: 'many' } }), 'config.recursion_limit');
  await refused(runs({ config: { tags: 7 } }), 'config.tags');
  await refused(client.runs.cancel(thread_id, run_id, false, 'interrupt', { reason: 'taken' }), 'reason');
  await refused(client.threads.get(thread_id, { include: ['ttl'] }), 'include');
  await refused(client.threads.create({ ttl: 5 }), 'ttl');
  await refused(client.threads.update(thread_id, { ttl: 5 }), 'ttl');
  await refused(client.threads.create({ supersteps: [{ updates: [] }] }), 'supersteps');
  await refused(client.threads.search({ extract: { a: 'values.a' } }), 'extract');
  await refused(client.threads.prune([thread_id], { strategy: 'keep_latest' }), 'strategy');
  await refused(client.store.putItem(['a'], 'k', {}, { ttl: 5 }), 'ttl');
  await refused(client.store.putItem(['a'], 'k', {}, { index: ['x'] }), 'index');
  const select = ['colour'];
  for (const list of [() => client.assistants.search({ select }), () => client.threads.search({ select }),
    () => client.runs.list(thread_id, { select }), () => client.threads.getState(thread_id, undefined, { select }),
    () => client.threads.getHistory(thread_id, { select })]) await refused(list(), 'select');
  const { crons } = client, schedule = '* * * * *';
  for (const cron of [() => crons.create('echo', { schedule }), () => crons.createForThread(thread_id, 'echo', { schedule }),
    () => crons.search(), () => crons.count(), () => crons.delete(run_id), () => crons.update(run_id, {})]) {
    const error = await cron().then(() => null, (e) => e);
    assert.equal(error?.status, 404);
    assert.match(error.message, /no crons/);
  }
  assert.deepEqual(await client.runs.list(thread_id, { select: ['run_id', 'status'] }), [{ run_id, status: 'success' }]);
  await client.threads.patchState(thread_id, { patched: true });
  await client.threads.patchState({ configurable: { thread_id } }, { twice: true });
  assert.deepEqual((await client.threads.get(thread_id)).metadata,
    { graph_id: 'echo', assistant_id: '046b5dc7-2108-582c-9c6c-31d556d138f0', patched: true, twice: true });
  assert.equal(await client.threads.count({ metadata: { patched: true }, values: {}, status: 'idle' }), 1);
  assert.equal((await client.threads.search({ ids: [thread_id], sortBy: 'state_updated_at' })).length, 1);
  // The SDK sends a batch's options by their JavaScript names.
  const [kept] = await client.runs.createBatch([{ assistantId: 'echo', input: hello, onCompletion: 'keep', metadata: { streamMode: 1 } }]);
  assert.notEqual(kept.thread_id, kept.run_id);
  assert.equal(kept.metadata.streamMode, 1);
  await refused(client.runs.createBatch([{ assistantId: 'echo', noSuchThing: 1 }]), '[0].no_such_thing');
  // Letters of more than one byte, in pieces and whole.
  const { events } = await collect(client.runs.stream(null, 'echo', {
    input: { messages: [{ role: 'user', content: 'ü☃😀' }] }, streamMode: ['messages-tuple', 'values'],
  }));
  assert.equal(events.messages.map(([m]) => m.content).join(''), 'You said: ü☃😀');
  assert.equal(events.values.at(-1).messages.at(-1).content, 'You said: ü☃😀');
});

test('an assistant is deleted with its threads, by who may delete both', async () => {
  const { assistant_id } = await client.assistants.create({ graphId: 'echo' });
  const ids = [];
  for (let i = 0; i < 3; i++) {
    const { thread_id } = await client.threads.create();
    await client.runs.wait(thread_id, assistant_id, { input: hello });
    ids.push(thread_id);
  }
  await client.assistants.delete(assistant_id, { deleteThreads: true });
  assert.deepEqual(await client.threads.search({ ids }), []);
});
