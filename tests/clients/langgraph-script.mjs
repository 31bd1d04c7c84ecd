// What LangGraph's SDK is made to do, and what came of it: one transcript for each server.
//
// transcript(client) returns {scenario: {step: result}}. Ids and times are replaced, since no two runs have the same;
// a stream becomes {order: the names of its events without repeats, events: {name: [data, ...]}}.
//
// LangGraph has a checkpoint before it takes the input (next: __start__), where a run of ours does not exist yet. It is
// counted once (agent.starts) and left out everywhere else, so that the lists can be compared place by place. So is the
// first state of a run of ours that goes on from a state of another run (source: fork; approve.forks).

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

export function normal(value, key = '') {
  if (Array.isArray(value)) return value.map((v) => normal(v, key));
  if (value !== null && typeof value === 'object') {
    const out = {};
    for (const name of Object.keys(value).sort()) {
      if (value[name] === undefined) continue;
      out[name.replace(UUID, '<uuid>').replace(/^(run-)?<uuid>(:\d+)?$/, '<key>')] = normal(value[name], name);
    }
    return out;
  }
  if (typeof value !== 'string') return value;
  if (/^\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)$/.test(value)) return '<time>';
  if (key === 'id') return '<id>';
  if (key === 'checkpoint_id') return '<checkpoint>';
  return value.replace(UUID, '<uuid>');
}

export async function collect(stream, { until } = {}) {
  const order = [], events = {}, ids = [];
  for await (const { id, event, data } of stream) {
    if (order.at(-1) !== event) order.push(event);
    (events[event] ??= []).push(data);
    ids.push(id);
    if (until?.(event, data)) break;
  }
  return { order, events, ids };
}

// Of many chunks the first and the last are shown, and what they say together.
function shown({ order, events }) {
  const piece = (event) => event === 'messages' || event === 'messages/partial';
  const out = normal({
    order: order.filter((e, i) => !(piece(e) && piece(order[i - 1]) && piece(order[i - 2]))), events,
  });
  for (const name of ['messages', 'messages/partial']) {
    if (!(out.events[name]?.length > 2)) continue;
    if (name === 'messages') out.text = events[name].map(([m]) => m.content).join('');
    out.events[name] = [out.events[name][0], out.events[name].at(-1)];
  }
  return out;
}

export async function failure(promise) {
  try {
    await promise;
  } catch (e) {
    return { status: e.status ?? null };
  }
  return { status: 'none' };
}

// Asks until something holds: what another process does by itself is waited for so.
export async function until(ask, holds) {
  for (const late = Date.now() + 20_000; Date.now() < late;) {
    const value = await ask();
    if (holds(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not come to hold in 20 s');
}

const begins = (state) => state.next.includes('__start__');
const forks = (state) => state.metadata.source === 'fork';
const history = async (client, thread_id, options) =>
  (await client.threads.getHistory(thread_id, options)).filter((state) => !begins(state) && !forks(state));

const hello = { messages: [{ role: 'user', content: 'hello there' }] };
const over = (run) => run.status !== 'pending' && run.status !== 'running';

const scenarios = {
  async assistants(client) {
    const out = {};
    const all = await client.assistants.search({ limit: 100 });
    out.names = all.map((a) => a.graph_id).filter((n) => ours.includes(n)).sort();
    out.get = await client.assistants.get('echo');
    out.id = (await client.assistants.get('echo')).assistant_id === '046b5dc7-2108-582c-9c6c-31d556d138f0';
    const { nodes, edges } = await client.assistants.getGraph('agent');
    const text = (v) => JSON.stringify([v.id ?? v.source, v.target ?? null]);
    out.graph = [nodes, edges].map((list) => list.sort((a, b) => (text(a) < text(b) ? -1 : 1)));
    out.subgraphs = await client.assistants.getSubgraphs('agent');
    const made = await client.assistants.create({ graphId: 'echo', name: 'Parrot', metadata: { colour: 'green' } });
    out.create = made;
    out.update = await client.assistants.update(made.assistant_id, { name: 'Parrot 2', metadata: { size: 1 } });
    out.versions = await client.assistants.getVersions(made.assistant_id);
    out.latest = await client.assistants.setLatest(made.assistant_id, 1);
    out.found = await client.assistants.search({ metadata: { colour: 'green' } });
    out.count = await client.assistants.count({ metadata: { colour: 'green' } });
    out.run = await client.runs.wait(null, made.assistant_id, { input: hello });
    out.delete = await client.assistants.delete(made.assistant_id);
    out.gone = await failure(client.assistants.get(made.assistant_id));
    out.none = await failure(client.assistants.get('no-such-graph'));
    return out;
  },

  async threads(client) {
    const out = {};
    const thread = await client.threads.create({ metadata: { test: 'threads' } });
    out.create = thread;
    out.get = await client.threads.get(thread.thread_id);
    out.update = await client.threads.update(thread.thread_id, { metadata: { more: true } });
    out.found = await client.threads.search({ metadata: { test: 'threads' } });
    out.count = await client.threads.count({ metadata: { test: 'threads' } });
    out.again = await failure(client.threads.create({ threadId: thread.thread_id }));
    out.same = await client.threads.create({ threadId: thread.thread_id, ifExists: 'do_nothing' });
    out.state = await client.threads.getState(thread.thread_id);
    out.history = await history(client, thread.thread_id);
    out.runs = await client.runs.list(thread.thread_id);
    out.delete = (await client.threads.delete(thread.thread_id)) ?? null;
    out.gone = await failure(client.threads.get(thread.thread_id));
    out.none = await failure(client.runs.create('01a20e14-1998-731f-b1c7-8314e9e6e726', 'echo', { input: hello }));
    return out;
  },

  async echo(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    out.stream = shown(await collect(client.runs.stream(thread_id, 'echo', {
      input: hello, streamMode: ['values', 'updates', 'messages', 'messages-tuple'],
    })));
    out.thread = await client.threads.get(thread_id);
    out.state = await client.threads.getState(thread_id);
    out.history = await history(client, thread_id);
    const [run] = await client.runs.list(thread_id);
    out.run = run;
    out.got = (await client.runs.get(thread_id, run.run_id)).status;
    out.join = await client.runs.join(thread_id, run.run_id);
    out.second = await client.runs.wait(thread_id, 'echo', { input: { messages: [{ role: 'user', content: 'again' }] } });
    out.runs = (await client.runs.list(thread_id)).map((r) => r.status);
    const copy = await client.threads.copy(thread_id);
    out.copy = copy;
    out.copied = (await client.threads.getState(copy.thread_id)).values;
    out.apart = (await client.runs.wait(copy.thread_id, 'echo', {
      input: { messages: [{ role: 'user', content: 'apart' }] },
    })).messages.map((m) => m.content);
    out.original = (await client.threads.getState(thread_id)).values.messages.map((m) => m.content);
    return out;
  },

  async agent(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    const input = { messages: [{ role: 'user', content: 'add 1 and 2' }] };
    out.stream = shown(await collect(client.runs.stream(thread_id, 'agent', {
      input, streamMode: ['values', 'updates', 'custom', 'tasks'],
    })));
    const states = await client.threads.getHistory(thread_id);
    out.steps = states.filter((s) => !begins(s)).map((s) => s.next);
    out.starts = states.filter(begins).length;
    const second = await client.threads.create();
    const { events } = await collect(client.runs.stream(second.thread_id, 'agent', { input, streamMode: 'checkpoints' }));
    out.checkpoints = events.checkpoints.filter((s) => !begins(s));
    const third = await client.threads.create();
    const debug = await collect(client.runs.stream(third.thread_id, 'agent', { input, streamMode: 'debug' }));
    out.debug = debug.events.debug.filter((d) => d.type !== 'checkpoint' || !begins(d.payload)).map((d) => d.type);
    out.events = [...new Set((await collect(client.runs.stream(null, 'echo', {
      input: hello, streamMode: 'events',
    }))).events.events.map((e) => e.event))].sort();
    return out;
  },

  async stops(client) {
    const out = {};
    for (const where of ['interruptBefore', 'interruptAfter']) {
      const { thread_id } = await client.threads.create();
      out[where] = {
        stream: shown(await collect(client.runs.stream(thread_id, 'agent', {
          input: { messages: [{ role: 'user', content: 'add' }] }, [where]: ['tools'],
          streamMode: ['updates', 'values'],
        }))),
        next: (await client.threads.getState(thread_id)).next,
        status: (await client.threads.get(thread_id)).status,
        on: shown(await collect(client.runs.stream(thread_id, 'agent', { input: null, streamMode: ['updates'] }))),
        after: (await client.threads.get(thread_id)).status,
      };
    }
    return out;
  },

  async approve(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    out.stream = shown(await collect(client.runs.stream(thread_id, 'approve', {
      input: hello, streamMode: ['values', 'updates', 'tasks'],
    })));
    out.thread = await client.threads.get(thread_id);
    out.state = await client.threads.getState(thread_id);
    out.found = (await client.threads.search({ status: 'interrupted', ids: [thread_id] })).length;
    out.resume = shown(await collect(client.runs.stream(thread_id, 'approve', {
      command: { resume: 'yes' }, streamMode: ['values', 'updates', 'tasks'],
    })));
    out.after = await client.threads.get(thread_id);
    out.forks = (await client.threads.getHistory(thread_id)).filter(forks).length;
    out.history = await history(client, thread_id);
    const waited = await client.threads.create();
    out.wait = await client.runs.wait(waited.thread_id, 'approve', { input: hello });
    out.waited = await client.runs.wait(waited.thread_id, 'approve', { command: { resume: 'no' } });
    return out;
  },

  async parallel(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    const seen = await collect(client.runs.stream(thread_id, 'parallel', {
      input: {}, streamMode: ['updates', 'values'],
    }));
    // Which of the two is done first is nobody's promise.
    seen.events.updates.sort((a, b) => (Object.keys(a)[0] < Object.keys(b)[0] ? -1 : 1));
    out.updates = seen.events.updates;
    out.first = seen.events.values[0];
    out.last = seen.events.values.at(-1);
    out.state = (await client.threads.getState(thread_id)).values;
    return out;
  },

  async fails(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    const { order, events } = await collect(client.runs.stream(thread_id, 'fails', { input: hello, streamMode: 'values' }));
    out.order = order;
    out.error = events.error[0];
    out.run = await until(async () => (await client.runs.list(thread_id))[0].status, (s) => over({ status: s }));
    out.thread = (await until(() => client.threads.get(thread_id), (t) => t.status !== 'busy')).status;
    const again = await client.threads.create();
    let message = null;
    try {
      await client.runs.wait(again.thread_id, 'fails', { input: hello });
    } catch (e) {
      ({ message } = e);
    }
    out.wait = message;
    return out;
  },

  async stateless(client) {
    const out = {};
    out.wait = await client.runs.wait(null, 'echo', { input: hello });
    out.stream = shown(await collect(client.runs.stream(null, 'echo', { input: hello, streamMode: 'updates' })));
    // How far it is by now is nobody's promise.
    out.create = { ...await client.runs.create(null, 'echo', { input: hello }), status: undefined };
    out.batch = (await client.runs.createBatch([
      { assistantId: 'echo', input: hello }, { assistantId: 'agent', input: hello },
    ])).length;
    const made = await client.runs.wait('01a20e14-1998-731f-b1c7-8314e9e6e799', 'echo', {
      input: hello, ifNotExists: 'create', metadata: { from: 'if_not_exists' },
    });
    out.made = made.messages.length;
    out.thread = (await client.threads.get('01a20e14-1998-731f-b1c7-8314e9e6e799')).metadata;
    await client.threads.delete('01a20e14-1998-731f-b1c7-8314e9e6e799');
    return out;
  },

  async multitask(client) {
    const out = {};
    const slow = { input: { ms: 1500 } };
    const status = (thread, run) =>
      until(() => client.runs.get(thread, run).catch((e) => ({ status: e.status })), over).then((r) => r.status);
    const { thread_id: a } = await client.threads.create();
    const first = await client.runs.create(a, 'slow', slow);
    out.busy = (await client.threads.get(a)).status;
    out.reject = await failure(client.runs.create(a, 'slow', { input: { ms: 1 }, multitaskStrategy: 'reject' }));
    const next = await client.runs.create(a, 'slow', { input: { ms: 1 }, multitaskStrategy: 'enqueue' });
    out.enqueue = [await status(a, first.run_id), await status(a, next.run_id)];
    for (const multitaskStrategy of ['interrupt', 'rollback']) {
      const { thread_id: b } = await client.threads.create();
      const old = await client.runs.create(b, 'slow', slow);
      await until(() => client.runs.get(b, old.run_id), (r) => r.status === 'running');
      const young = await client.runs.create(b, 'slow', { input: { ms: 1 }, multitaskStrategy });
      out[multitaskStrategy] = [await status(b, old.run_id), await status(b, young.run_id)];
      out[`${multitaskStrategy} values`] = (await client.threads.getState(b)).values.slept;
    }
    return out;
  },

  async cancel(client) {
    const out = {};
    for (const action of ['interrupt', 'rollback']) {
      const { thread_id } = await client.threads.create();
      const { run_id } = await client.runs.create(thread_id, 'slow', { input: { ms: 1500 } });
      await until(() => client.runs.get(thread_id, run_id), (r) => r.status === 'running');
      await client.runs.cancel(thread_id, run_id, true, action);
      out[action] = await until(
        () => client.runs.get(thread_id, run_id).catch((e) => ({ status: e.status })), over).then((r) => r.status);
      out[`${action} thread`] = (await until(() => client.threads.get(thread_id), (t) => t.status !== 'busy')).status;
    }
    const { thread_id } = await client.threads.create();
    const { run_id } = await client.runs.create(thread_id, 'echo', { input: hello });
    await until(() => client.runs.get(thread_id, run_id), over);
    await client.runs.delete(thread_id, run_id);
    out.delete = await until(() => failure(client.runs.get(thread_id, run_id)), (f) => f.status !== 'none');
    out.none = await failure(client.runs.cancel(thread_id, run_id));
    return out;
  },

  async states(client) {
    const out = {};
    const { thread_id } = await client.threads.create();
    await client.runs.wait(thread_id, 'approve', { input: hello });
    const before = await client.threads.getState(thread_id);
    out.update = await client.threads.updateState(thread_id, { values: { answer: 'edited' }, asNode: 'ask' });
    const edited = await client.threads.getState(thread_id);
    out.edited = edited;
    out.on = await client.runs.wait(thread_id, 'approve', { input: null });
    out.at = (await client.threads.getState(thread_id, edited.checkpoint)).values;
    out.old = (await client.threads.getState(thread_id, before.checkpoint.checkpoint_id)).next;
    // Time travel: the old question is answered another way.
    out.fork = await client.runs.wait(thread_id, 'approve', {
      checkpoint: before.checkpoint, command: { resume: 'otherwise' },
    });
    out.now = (await client.threads.getState(thread_id)).values.answer;
    out.past = (await client.threads.getHistory(thread_id, { limit: 2 })).length;
    out.goto = await client.runs.wait(thread_id, 'approve', { command: { update: { answer: 'jumped' }, goto: 'done' } });
    out.none = await failure(client.threads.getState('01a20e14-1998-731f-b1c7-8314e9e6e726'));
    return out;
  },

  async store(client) {
    const out = {};
    const put = (ns, key, value) => client.store.putItem(ns, key, value);
    out.put = (await put(['script', 'a'], 'k1', { n: 1, t: 'red' })) ?? null;
    await put(['script', 'a'], 'k2', { n: 2 });
    await put(['script', 'b'], 'k1', { n: 3 });
    out.get = await client.store.getItem(['script', 'a'], 'k1');
    out.none = await client.store.getItem(['script', 'a'], 'none');
    const found = async (ns, options) =>
      (await client.store.searchItems(ns, options)).items.map((i) => [...i.namespace, i.key].join('/')).sort();
    out.all = await found(['script']);
    out.some = await found(['script', 'a']);
    out.filter = await found(['script'], { filter: { n: 3 } });
    out.more = await found(['script'], { filter: { n: { $gt: 1 } } });
    out.namespaces = (await client.store.listNamespaces({ prefix: ['script'] })).namespaces.sort();
    out.depth = (await client.store.listNamespaces({ prefix: ['script'], maxDepth: 1 })).namespaces;
    out.delete = (await client.store.deleteItem(['script', 'a'], 'k1')) ?? null;
    out.gone = await client.store.getItem(['script', 'a'], 'k1');
    out.empty = await failure(put(['script', ''], 'k', {}));
    for (const [ns, key] of [[['script', 'a'], 'k2'], [['script', 'b'], 'k1']]) await client.store.deleteItem(ns, key);
    return out;
  },
};

const ours = ['echo', 'agent', 'approve', 'parallel', 'slow', 'fails'];

export const names = Object.keys(scenarios);

export async function transcript(client, only = names) {
  const out = {};
  for (const name of only) out[name] = normal(await scenarios[name](client));
  return out;
}
