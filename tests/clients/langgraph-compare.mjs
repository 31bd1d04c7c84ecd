// Compares two transcripts; langgraph-differences.json says which differences are meant, and why.
//
//   node langgraph-compare.mjs OURS ORACLE     prints every difference, and the rule that explains it

import { readFileSync } from 'node:fs';

// A JSON value as {path: text of a leaf}.
function flat(value, path = '', out = {}) {
  if (value !== null && typeof value === 'object' && Object.keys(value).length > 0) {
    for (const [name, v] of Object.entries(value)) {
      flat(v, Array.isArray(value) ? `${path}[${name}]` : path ? `${path}.${name}` : name, out);
    }
  } else {
    out[path] = JSON.stringify(value);
  }
  return out;
}

export function differences(ours, oracle) {
  const a = flat(ours), b = flat(oracle);
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()
    .filter((path) => a[path] !== b[path])
    .map((path) => ({ path, ours: a[path], oracle: b[path] }));
}

// A rule: {where: a regular expression for paths, ours?, oracle?: the texts of the leaf, null = absent, why}.
const explains = (rule, d) => new RegExp(rule.where).test(d.path) &&
  ['ours', 'oracle'].every((side) => rule[side] === undefined || rule[side] === (d[side] ?? null));

export function explain(found, rules) {
  const used = new Set();
  const rest = found.filter((d) => {
    const rule = rules.find((r) => explains(r, d));
    used.add(rule);
    return rule === undefined;
  });
  return { rest, unused: rules.filter((r) => !used.has(r)) };
}

export const json = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url)));

if (process.argv[1] === import.meta.filename) {
  const [ours, oracle] = process.argv.slice(2).map((f) => JSON.parse(readFileSync(f)));
  const rules = json('langgraph-differences.json');
  for (const d of differences(ours, oracle)) {
    const rule = rules.find((r) => explains(r, d));
    console.log(rule ? `   ${d.path} # ${rule.why}` : `!! ${d.path}\n     ours   ${d.ours}\n     oracle ${d.oracle}`);
  }
}
