// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/host.js";
import {
  type Cell,
  costText,
  findingOf,
  isWhole,
  joinReports,
  type Outcome,
  outcomeText,
  type Report,
  writeSection,
} from "./page.js";

const whole: Outcome = { result: "whole", at: 100, bytes: 100, rounds_us: 1000, stream_us: 2000 };
const early: Outcome = { ...whole, result: "ended early: to the server" };
const wrong: Outcome = { ...whole, result: "wrong bytes: to the client" };
const cell: Cell = {
  ...{ runs: 2, megabytes: 8, rounds: 20 },
  bypassed: [{ ...whole, rounds_us: 500 }, whole],
  plain: [whole, whole],
  redirected: 200,
  kept: 0,
  refused: 3,
  said: [],
};

test("a cell tells what share was redirected, what the guard did, and the time", () => {
  expect(outcomeText(cell)).toBe("whole, 50 %, refused");
  expect(outcomeText({ ...cell, redirected: 0, kept: 1, refused: 0 })).toBe("whole, on TCP, kept");
  expect(costText(cell)).toBe("0.75 (0.50–1.00) / 1.00 (1.00–1.00)");
});

test("what went wrong is told with how often, and what plain TCP does", () => {
  const bad = { ...cell, bypassed: [whole, wrong] };
  expect(outcomeText(bad)).toBe("**wrong bytes: to the client, refused** (1 of 2); by plain TCP whole");
  expect(outcomeText({ ...bad, plain: [early] })).toBe(
    "**wrong bytes: to the client, refused** (1 of 2); by plain TCP ended early: to the server (1 of 1)",
  );
  expect(outcomeText({ ...bad, isWarned: true })).toBe(
    "warned: wrong bytes: to the client, refused (1 of 2); by plain TCP whole",
  );
  expect(isWhole(bad)).toBe(false);
});

test("who ends early by plain TCP too is as whole as that, unless his bytes are wrong", () => {
  expect(isWhole({ ...cell, bypassed: [early], plain: [early] })).toBe(true);
  expect(isWhole({ ...cell, bypassed: [early] })).toBe(false);
  expect(isWhole({ ...cell, bypassed: [early] }, true)).toBe(true);
  expect(isWhole({ ...cell, bypassed: [wrong], plain: [early] }, true)).toBe(false);
  expect(isWhole({ ...cell, bypassed: [early], plain: [wrong] })).toBe(false);
});

test("who was never enrolled, or never ran, has proven nothing", () => {
  expect(isWhole(cell)).toBe(true);
  expect(isWhole({ ...cell, redirected: 0 })).toBe(false);
  expect(isWhole({ ...cell, bypassed: [] })).toBe(false);
});

const found = findingOf(cell);
const report: Report = {
  ...{ date: "2026-11-30", release: "6.12", chosen: "lsm", ways: ["lsm", "none"] },
  selftests: { lsm: "safe", none: "hangs" },
  rows: [
    { name: "socat", version: "1.8.0.3", cells: { lsm: found, none: findingOf({ ...cell, isWarned: false }) } },
    { name: "Go", cells: { lsm: found } },
    { name: "C", cells: { lsm: findingOf({ ...cell, runs: 10, megabytes: 40 }) } },
    { name: "never tried here", cells: {} },
  ],
};

test("the table stands between its marks, and what is around it stays", () => {
  const path = join(temporaryFolder(), "software.md");
  writeFileSync(path, "before\n<!-- splicers -->\nold\n<!-- end of splicers -->\nafter\n");
  writeSection(path, [report]);
  const text = readFileSync(path, "utf8");
  expect(text).toMatch(/^before\n/);
  expect(text).toMatch(/\nafter\n$/);
  expect(text).not.toContain("old");
  expect(text).toContain("The self-test reports for `splice`: `safe` with `lsm`, `hangs` unprotected.");
});

test("the head of a column tells how many runs of how many megabytes there were, and a cell where its own are others", () => {
  const path = join(temporaryFolder(), "software.md");
  writeFileSync(path, "<!-- splicers --><!-- end of splicers -->");
  writeSection(path, [report]);
  const lines = readFileSync(path, "utf8").split("\n");
  expect(lines.filter((line) => line.startsWith("| "))).toEqual([
    "| program | `lsm`, 2 × 8 MB | time | unprotected, 2 × 8 MB |",
    "| --- | --- | --- | --- |",
    "| socat (1.8.0.3) | whole, 50 %, refused | 0.75 (0.50–1.00) / 1.00 (1.00–1.00) | whole, 50 %, refused |",
    "| Go | whole, 50 %, refused | 0.75 (0.50–1.00) / 1.00 (1.00–1.00) |  |",
    "| C | 10 × 40 MB: whole, 50 %, refused | 0.75 (0.50–1.00) / 1.00 (1.00–1.00) |  |",
  ]);
});

test("a run completes what an earlier one found, and replaces what it tried itself", () => {
  const later: Report = {
    ...report,
    ...{ date: "2026-12-01", ways: ["fmod_ret"], selftests: { fmod_ret: "safe" } },
    rows: [
      { name: "Go", cells: { lsm: findingOf({ ...cell, runs: 3 }), fmod_ret: found } },
      { name: "Python", cells: { fmod_ret: found } },
    ],
  };
  const { date, ways, selftests, rows } = joinReports(report, later);
  expect({ date, ways, selftests }).toEqual({
    ...{ date: "2026-12-01", ways: ["lsm", "fmod_ret", "none"] },
    selftests: { lsm: "safe", fmod_ret: "safe", none: "hangs" },
  });
  const sizes = (cells: Report["rows"][number]["cells"]) => Object.entries(cells).map(([way, { size }]) => [way, size]);
  expect(rows.map(({ name, cells }) => [name, ...sizes(cells)])).toEqual([
    ["Go", ["lsm", "3 × 8 MB"], ["fmod_ret", "2 × 8 MB"]],
    ["Python", ["fmod_ret", "2 × 8 MB"]],
    ["socat", ["lsm", "2 × 8 MB"], ["none", "2 × 8 MB"]],
    ["C", ["lsm", "10 × 40 MB"]],
    ["never tried here"],
  ]);
});

test("nothing stays of another kernel, nor of another version of a program", () => {
  expect(joinReports({ ...report, release: "6.11" }, report)).toEqual(report);
  const newer: Report = { ...report, rows: [{ name: "socat", version: "1.8.1", cells: { none: found } }] };
  expect(joinReports(report, newer).rows[0]).toEqual(newer.rows[0]);
});

test("the page of the package is what its results say", () => {
  const root = join(__dirname, "../..");
  const page = join(root, "docs/reference/software.md");
  const copy = join(temporaryFolder(), "software.md");
  writeFileSync(copy, readFileSync(page));
  writeSection(
    copy,
    Object.values(JSON.parse(readFileSync(join(root, "docs/explanation/benchmarks/splicers.json"), "utf8"))),
  );
  expect(readFileSync(copy, "utf8")).toBe(readFileSync(page, "utf8"));
});
