// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/host.js";
import { type Outcome, writePage } from "./page.js";

const outcome: Outcome = {
  kernel: "debian12",
  date: "2026-11-24",
  release: "6.1.0-56-cloud-amd64",
  packages: {
    "linux-image-cloud-amd64": "6.1.192-2",
    "linux-image-6.1.0-56-cloud-amd64": "6.1.192-2",
    bpftool: "7.1.0",
  },
  isOk: false,
  passed: 5,
  failed: ["the case that failed"],
  skipped: 54,
  facts: { splice: "hangs", rounds: 1000 },
};

test("the page lists what ran, what failed and what was not run, and the facts that the self-test found", () => {
  const path = join(temporaryFolder(), "kernels.md");
  writePage(path, [
    outcome,
    { ...outcome, kernel: "debian13", release: "6.12", failed: [], facts: { splice: "works" } },
  ]);
  const rows = readFileSync(path, "utf8").split("\n");
  expect(rows.filter((row) => row.startsWith("| debian") || row.startsWith("| `"))).toEqual([
    "| debian12 | 2026-11-24 | 6.1.0-56-cloud-amd64 | 6.1.192-2 | 7.1.0 | 5 of 6, of 60 | failed: the case that failed |",
    "| debian13 | 2026-11-24 | 6.12 | 6.1.192-2 | 7.1.0 | 5 of 5, of 59 |  |",
    "| `splice` | hangs | works |",
  ]);
});
