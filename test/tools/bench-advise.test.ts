// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Report, section } from "../../tools/bench/advise/page.js";
import { services } from "../../tools/bench/advise/services.js";
import { root } from "../support/host.js";

// Not proven here: the figures, which `npm run bench:advise -- --write` measures.
const report: Report = JSON.parse(readFileSync(join(root, "docs/explanation/benchmarks/advise.json"), "utf8"));
const page = readFileSync(join(root, "docs/explanation/benchmarks/advise.md"), "utf8");
const text = page.slice(page.indexOf("<!-- advise -->\n") + 16, page.indexOf("<!-- end of advise -->"));

test("the table of what advise expects and what was measured is that of advise.json", () => {
  expect(text).toBe(section(report));
  expect(report.services.map(({ service }) => service)).toEqual(services.map(({ name }) => name));
});

test("each service was measured, or tried where it is in danger", () => {
  for (const { name, isHarmed, load } of services) {
    const found = report.services.find(({ service }) => service === name);
    expect(found?.advice, name).toBe(isHarmed ? "danger" : name === "remote" ? "leave" : "include");
    expect(Object.keys(found?.measured ?? {}), name).toEqual(isHarmed ? [] : ["one CPU", "two CPUs"]);
    expect(found?.bypassed === undefined, name).toBe(!isHarmed || load === undefined);
  }
});

test("the page names every median outside of what advise expected, and no other", () => {
  const outside = report.services.flatMap(({ title, measured = {}, expected, expectedHere }) =>
    Object.entries(measured)
      .filter(
        ([
          ,
          {
            ratios: { bypass = 0 },
          },
        ]) =>
          [expected, expectedHere].some(
            (range) =>
              range !== null && (Number(bypass.toFixed(2)) < range.low || Number(bypass.toFixed(2)) > range.high),
          ),
      )
      .map(([cpus]) => `- ${title}, ${cpus}: `),
  );
  expect(text.match(/^- .*(?:one CPU|two CPUs): /gm) ?? []).toEqual(outside);
});
