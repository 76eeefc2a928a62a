// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/host.js";
import { type Cell, costText, isWhole, type Outcome, outcomeText, type Report, writeSection } from "./page.js";

const whole: Outcome = { result: "whole", at: 100, bytes: 100, rounds_us: 1000, stream_us: 2000 };
const early: Outcome = { ...whole, result: "ended early: to the server" };
const wrong: Outcome = { ...whole, result: "wrong bytes: to the client" };
const cell: Cell = {
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
});

test("who was never enrolled, or never ran, has proven nothing", () => {
  expect(isWhole(cell)).toBe(true);
  expect(isWhole({ ...cell, redirected: 0 })).toBe(false);
  expect(isWhole({ ...cell, bypassed: [] })).toBe(false);
});

test("the table stands between its marks, and what is around it stays", () => {
  const path = join(temporaryFolder(), "limits.md");
  const report: Report = {
    ...{ date: "2026-11-30", release: "6.12", chosen: "lsm", ways: ["lsm", "none"], selftest: "safe" },
    ...{ runs: 2, megabytes: 40, rounds: 300 },
    rows: [{ name: "socat", version: "1:1.8.0.3-1+deb13u1", cells: { lsm: cell, none: { ...cell, isWarned: false } } }],
  };
  writeFileSync(path, "before\n<!-- splicers -->\nold\n<!-- end of splicers -->\nafter\n");
  writeSection(path, [report]);
  const text = readFileSync(path, "utf8");
  expect(text).toMatch(/^before\n/);
  expect(text).toMatch(/\nafter\n$/);
  expect(text).not.toContain("old");
  expect(text.split("\n").filter((line) => line.startsWith("| "))).toEqual([
    "| program | `lsm` | time | no way |",
    "| --- | --- | --- | --- |",
    "| socat (1.8.0.3) | whole, 50 %, refused | 0.75 (0.50–1.00) / 1.00 (1.00–1.00) | whole, 50 %, refused |",
  ]);
});
