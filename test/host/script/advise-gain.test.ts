// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../support/host.js";

interface Results {
  readonly results: Record<string, { readonly ratios: { readonly bypass: number } }>;
}

const { results }: Results = JSON.parse(readFileSync(join(root, "docs/explanation/benchmarks/results.json"), "utf8"));
const source = readFileSync(join(root, "host/helper/advise/gain.c"), "utf8");

const sizes: Record<number, string> = {
  64: "64 B",
  1024: "1 KiB",
  16384: "16 KiB",
  65536: "64 KiB",
  262144: "256 KiB",
};
const patterns: Record<string, RegExp> = {
  REQUESTS: /^request\/response (\S+ \S+), (?:one CPU|two CPUs)$/,
  REQUESTS_ACROSS: /^pod to (?:pod|ClusterIP), request\/response (\S+ \S+), (?:one CPU|two CPUs)$/,
  STREAMS: /^(?:one-way|duplex) stream (\S+ \S+), (?:one CPU|two CPUs)$/,
};

test("the gains that advise expects are those of the page of benchmarks", () => {
  const rows = [...source.matchAll(/\{ (\w+), (\d+), (\d+), (\d+) \}/g)].map(([, way = "", ...numbers]) => {
    const [size = 0, from, to] = numbers.map(Number);
    return { way, size, from, to };
  });
  expect(rows).toHaveLength(11);
  for (const { way, size, from, to } of rows) {
    const found = Object.entries(results)
      .filter(([name]) => patterns[way]?.exec(name)?.[1] === sizes[size])
      .map(([, { ratios }]) => Math.round(ratios.bypass * 100));
    expect(found.length, `${way} ${size}`).toBeGreaterThanOrEqual(2);
    expect({ way, size, from, to }).toEqual({ way, size, from: Math.min(...found), to: Math.max(...found) });
  }
});

// What advise expects of small requests, which these programs exchange.
test.each([
  ["redis", /^redis /],
  ["nginx", /^nginx 1 KiB, wrk, (?:one|two) CPU/],
  ["pgbench", /^pgbench /],
])("the gain of %s is within the range that advise expects of it", (_, name) => {
  const found = Object.entries(results).filter(([cell]) => name.test(cell));
  expect(found.length).toBeGreaterThanOrEqual(2);
  for (const [cell, { ratios }] of found) {
    expect(ratios.bypass, cell).toBeGreaterThanOrEqual(1.03);
    expect(ratios.bypass, cell).toBeLessThanOrEqual(1.54);
  }
});
