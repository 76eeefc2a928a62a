// SPDX-License-Identifier: Apache-2.0
/** The figures of the README against the results of the benchmarks that they come from. */
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./pages";

interface Result {
  readonly ratios: { readonly bypass: number };
}
const resultsOf = (file: string): unknown =>
  JSON.parse(fs.readFileSync(join(root, "docs/explanation/benchmarks", file), "utf8"));
const { results } = resultsOf("results.json") as { results: Readonly<Record<string, Result>> };
const { cells } = resultsOf("pool.json") as { cells: Readonly<Record<string, Result>> };

const readme = fs.readFileSync(join(root, "README.md"), "utf8").replaceAll("\n", " ");

/** The ratios of the cells whose names match, the smallest first. */
function ratiosOf(all: Readonly<Record<string, Result>>, names: RegExp): number[] {
  const found = Object.entries(all).flatMap(([name, { ratios }]) => (names.test(name) ? [ratios.bypass] : []));
  return found.sort((a, b) => a - b);
}

const ranges: [sentence: RegExp, all: Readonly<Record<string, Result>>, names: RegExp, cells: number][] = [
  [/Redis served (\S+) to (\S+) times/, results, /^redis /, 4],
  [/nginx ([\d.]+) to (\S+) times/, results, /^nginx /, 3],
  [/were (\S+) to (\S+) times as many round trips between network namespaces/, results, /^pod to ClusterIP/, 2],
  [/\[(\S+) to (\S+) times\]\(\S*node-pools.md\)/, cells, /^pod to ClusterIP on one node/, 2],
];

test.each(ranges)("the README has the range of %s", (sentence, all, names, count) => {
  const ratios = ratiosOf(all, names);
  expect(ratios).toHaveLength(count);
  const [, low, high] = sentence.exec(readme) ?? [];
  expect([low, high]).toEqual([ratios.at(0)?.toFixed(2), ratios.at(-1)?.toFixed(2)]);
});

const losses: [sentence: RegExp, cell: string][] = [
  [/256 KiB to another CPU and back \((\S+) times plain TCP\)/, "request/response 256 KiB, two CPUs"],
  [/small messages in one direction \((\S+)\)/, "one-way stream 1 KiB, one CPU"],
  [/a connection for each request \((\S+)\)/, "connect, one request 64 B, close, one CPU"],
  [/each of which takes (\S+) times as much memory/, "memory of an idle connection, both ends"],
];

test.each(losses)("the README has the measured loss of %s", (sentence, cell) => {
  const ratio = results[cell]?.ratios.bypass;
  expect(ratio).toBeDefined();
  expect(sentence.exec(readme)?.[1]).toBe(ratio?.toFixed(2));
});
