// What the tests share: where the host is, a client for it, tokens.
import { createHmac } from 'node:crypto';
import OpenAI from 'openai';

export const url = process.env.INSULA_URL;
export const key = process.env.INSULA_KEY;
export const upstream = process.env.INSULA_UPSTREAM;

export const client = (options = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 30_000, ...options });

export const hi = [{ role: 'user', content: 'hello there' }];
export const question = [{ role: 'user', content: 'Who built the lighthouse of Pharos?' }];

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// A token of the host's HS256 key; claims and header as given are laid over good ones.
export function token(claims = {}, header = {}, secret = process.env.INSULA_TEST_SECRET) {
  const body = part({ alg: 'HS256', typ: 'JWT', ...header }) + '.' + part({
    iss: 'clients', aud: 'insula', sub: 'user-1', exp: Math.floor(Date.now() / 1000) + 300, ...claims,
  });
  return body + '.' + createHmac('sha256', secret).update(body).digest('base64url');
}

// The demo tenant's id, as the host tells its own key.
export async function tenant() {
  const response = await fetch(`${url}/v1/hello/x`, { headers: { authorization: `Bearer ${key}` } });
  return (await response.json()).tenant;
}

// The upstream's counters; with a condition ("disconnects=3"), once it holds.
export async function stats(condition) {
  const response = await fetch(`${upstream}/${condition ? `wait?${condition}` : 'stats'}`);
  return response.json();
}

// All chunks of a stream, its text, and the error that ended it, if one did.
export async function drain(stream) {
  const chunks = [];
  let error;
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (e) {
    error = e;
  }
  return { chunks, error, text: chunks.map((c) => c.choices[0]?.delta?.content ?? '').join('') };
}
