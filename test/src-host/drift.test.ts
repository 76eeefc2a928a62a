// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { epochIn, lookAt, readFound } from "../../src/host/drift";
import { installObject, loadProgram } from "../../src/host/lines";
import { shellLine } from "../../src/host/quote";
import { boundedLine } from "../../src/targets/ssh";
import { runLine, shells } from "./shells";

const stateDir = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-drift-"));
afterAll(() => fs.rmSync(stateDir, { recursive: true }));

describe.each(shells)("the line that looks, under %s", (_, shell) => {
  test("prints what status prints, nothing where it fails, and where there is no script what an installation needs", () => {
    const line = lookAt({ stateDir, instance: "edge-1" });
    const script = path.join(stateDir, "edge-1", "socket-bypass");
    fs.rmSync(path.dirname(script), { recursive: true, force: true });
    const none = runLine(shell, line);
    expect(none).toMatchObject({ code: 0, stderr: "" });
    expect(none.stdout).toMatch(/^(lacks bpftool\n)?machine \S+\n$/);
    fs.mkdirSync(path.dirname(script));
    fs.writeFileSync(script, 'echo "$@"');
    expect(runLine(shell, line)).toMatchObject({
      code: 0,
      stdout: `status --json --instance edge-1 --state-dir ${stateDir}\n`,
    });
    fs.writeFileSync(script, "echo no >&2; exit 1");
    expect(runLine(shell, line)).toMatchObject({ code: 0, stdout: "\n", stderr: "" });
  });
});

test("takes the epochs and the problems from what was printed", () => {
  const printed = JSON.stringify({ healthy: false, epochs: { object: 3, map: 0 }, problems: ["nothing is attached"] });
  expect(readFound(printed, ["object", "map"], "x86_64", 0)).toEqual({
    epochs: { object: 3, map: 0 },
    problems: ["nothing is attached"],
  });
});

test.each(["", "\n", "no JSON", "machine x86_64\n", "{}", '{"epochs":{}}'])(
  "takes %j for a host without files: every step runs",
  (printed) => {
    expect(readFound(printed, ["object", "map"], "x86_64", 1_700_000_000_999)).toEqual({
      epochs: { object: 1_700_000_000, map: 1_700_000_000 },
      problems: [],
    });
  },
);

test("takes what a login shell prints first for no answer", () => {
  const printed = 'Welcome {to} me\n{"epochs":{"map":3},"problems":[]}\n';
  expect(readFound(printed, ["map"], "x86_64", 0)).toEqual({ epochs: { map: 3 }, problems: [] });
});

test("tells what an installation would be refused for", () => {
  expect(readFound("lacks bpftool\nmachine arm64\n", ["map"], "x86_64", 0).problems).toEqual([
    "bpftool: expected it on the host, found none; install it",
    "machine: expected x86_64, found a host of type aarch64; declare that",
  ]);
  expect(readFound("machine arm64\n", ["map"], "aarch64", 0).problems).toEqual([]);
});

test("finds in the line of a step the number that it was told, and 0 where it was told none", () => {
  const on = { stateDir: "/opt/sb", instance: "edge-1", generation: "0123456789ab", owner: "p/s/e --epoch 9/h" };
  const bundle = { digest: "00", isSource: false };
  const lines = (epochs: Record<string, number>) => [
    shellLine(loadProgram({ ...on, epochs }, "track")),
    boundedLine("sudo -n", 300, installObject({ ...on, epochs }, bundle, { cgroup: "/", takeOver: false })),
  ];
  expect(lines({}).map(epochIn)).toEqual([0, 0]);
  expect(lines({ track: 7, object: 1795578705 }).map(epochIn)).toEqual([7, 1795578705]);
});
