// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { lookAt, readFound } from "../../src/host/drift";
import { runLine, shells } from "./shells";

const stateDir = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-drift-"));
afterAll(() => fs.rmSync(stateDir, { recursive: true }));

describe.each(shells)("the line that looks, under %s", (_, shell) => {
  test("prints what status prints, and nothing where there is no script or it fails", () => {
    const line = lookAt({ stateDir, instance: "edge-1" });
    const script = path.join(stateDir, "edge-1", "socket-bypass");
    fs.rmSync(path.dirname(script), { recursive: true, force: true });
    expect(runLine(shell, line)).toMatchObject({ code: 0, stdout: "" });
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
  expect(readFound(printed, ["object", "map"], 0)).toEqual({
    epochs: { object: 3, map: 0 },
    problems: ["nothing is attached"],
  });
});

test.each(["", "\n", "no JSON", "{}", '{"epochs":{}}'])(
  "takes %j for a host without files: every step runs",
  (printed) => {
    expect(readFound(printed, ["object", "map"], 1_700_000_000_999)).toEqual({
      epochs: { object: 1_700_000_000, map: 1_700_000_000 },
      problems: [],
    });
  },
);
