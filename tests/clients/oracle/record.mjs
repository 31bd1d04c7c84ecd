// record.mjs FILE [SCENARIO ...]: starts LangGraph's in-memory server with graphs.mjs, runs the script against it, and
// writes the transcript.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startServer } from '@langchain/langgraph-api/server';
import { Client } from '@langchain/langgraph-sdk';
import { names, transcript } from '../langgraph-script.mjs';

const [file, ...only] = process.argv.slice(2).map((a, i) => (i === 0 ? resolve(a) : a));
const graphs = Object.fromEntries(['echo', 'agent', 'approve', 'parallel', 'slow', 'fails']
  .map((name) => [name, `${import.meta.dirname}/graphs.mjs:${name}`]));
process.chdir(mkdtempSync(join(tmpdir(), 'oracle-')));
const { host } = await startServer({ port: Number(process.env.ORACLE_PORT ?? 2099), nWorkers: 3, host: '127.0.0.1', cwd: process.cwd(), graphs });
const client = new Client({ apiUrl: `http://${host}`, apiKey: null, callerOptions: { maxRetries: 0 } });
writeFileSync(file, `${JSON.stringify(await transcript(client, only.length ? only : names), null, 1)}\n`);
process.exit(0);
