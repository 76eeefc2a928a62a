// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { type Part, runStages } from "../../tools/setup/run-tests.js";
import { root, run, temporaryFolder } from "./ensure.js";

// These tests do not prove that the stages of `npm test` cover all tests;
// test/tools/changed.test.ts does.

const passes = `import { test } from "vitest"; test("holds", () => {});`;
const fails = `import { test } from "vitest"; test("never holds", () => { throw new Error("no"); });`;
/** Fails in the first run and passes in the second, which it knows by a file. */
const flaky = `import { test } from "vitest"; import * as fs from "node:fs";
test("holds the second time", () => {
  if (fs.existsSync("ran")) return;
  fs.writeFileSync("ran", "");
  throw new Error("not yet");
});
test("holds", () => {});
test.skip("is not tried", () => {}); // a fixture: the summary counts it`;

/** Makes a folder with these tests, and one project for each first part of their paths. */
function folderOf(files: Record<string, string>): string {
  const folder = temporaryFolder();
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const names = [...new Set(Object.keys(files).map((path) => path.split("/")[0] ?? ""))];
  const projects = names.map((name) => ({ test: { name, include: [`${name}/*.test.ts`] } }));
  writeFileSync(
    join(folder, "vitest.config.mjs"),
    `export default { test: { projects: ${JSON.stringify(projects)} } };`,
  );
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const part = (name: string): Part => ({ name, options: ["--project", name] });

async function play(folder: string, ...stages: Part[][]) {
  let text = "";
  const isOk = await runStages(stages, folder, (more) => {
    text += more;
  });
  const [, before = "", result = ""] = /^(.*)\n== result ==\n(.*)$/s.exec(stripVTControlCharacters(text)) ?? [];
  const [, end = ""] = /\n\n(.*)\n$/s.exec(result) ?? [];
  const last = end.split("\n").filter((line) => !/^processor time: \d+\.\d min user, \d+\.\d min system$/.test(line));
  return { isOk, before, counts: result.match(/^ +(?:Test Files|Tests) {2}.*$/gm), last };
}

describe("a run of all tests", () => {
  test("ends with vitest's counts for each part and one line for all of them", async () => {
    const folder = folderOf({ "one/a.test.ts": passes, "two/b.test.ts": passes });
    expect(await play(folder, [part("one"), part("two")])).toMatchObject({
      isOk: true,
      counts: [
        ...[" Test Files  1 passed (1)", "      Tests  1 passed (1)"],
        ...[" Test Files  1 passed (1)", "      Tests  1 passed (1)"],
      ],
      last: ["2 passed, 0 failed"],
    });
  });

  test("passes if a file passes the second time, alone, and reports it as flaky with what failed", async () => {
    const folder = folderOf({ "one/a.test.ts": flaky, "one/c.test.ts": passes, "two/b.test.ts": passes });
    const { isOk, before, last } = await play(folder, [part("one")], [part("two")]);
    expect({ isOk, last }).toEqual({
      isOk: true,
      last: [
        "FLAKY: these failed, and passed when they ran again alone. Find out why and mend it:",
        "flaky: one/a.test.ts (holds the second time)",
        "4 passed, 0 failed, 1 skipped",
      ],
    });
    // The second run comes after everything else, and is of this file only.
    expect(before.match(/^== .* ==$|^ RUN|Test Files.*$/gm)).toEqual([
      ...["== tests: one ==", " RUN", "Test Files  1 failed | 1 passed (2)"],
      ...["== tests: two ==", " RUN", "Test Files  1 passed (1)"],
      ...["== once more, alone: one/a.test.ts ==", " RUN", "Test Files  1 passed (1)"],
    ]);
  });

  test("fails if a file fails again, but still runs all others", async () => {
    const folder = folderOf({ "one/a.test.ts": fails, "one/c.test.ts": flaky, "two/b.test.ts": passes });
    expect(await play(folder, [part("one")], [part("two")])).toMatchObject({
      isOk: false,
      last: [
        "FLAKY: these failed, and passed when they ran again alone. Find out why and mend it:",
        "flaky: one/c.test.ts (holds the second time)",
        "failed: one/a.test.ts (never holds)",
        "3 passed, 1 failed, 1 skipped",
      ],
    });
  });

  test.each([
    ["cannot be read", "import './nothing-there';", /nothing-there/],
    [
      "ends its process",
      `import { test } from "vitest"; test("dies", () => process.kill(process.pid, "SIGKILL"));`,
      /did not end/,
    ],
    [
      "leaves a rejected promise behind",
      `import { test } from "vitest"; test("holds", () => { void Promise.reject(new Error("left")); });`,
      /left/,
    ],
    [
      "fails in a hook",
      `import { afterAll, test } from "vitest"; test("holds", () => {}); afterAll(() => { throw new Error("left"); });`,
      /left/,
    ],
  ])("fails if a file %s each time", async (_, text, reason) => {
    const folder = folderOf({ "one/a.test.ts": text, "one/b.test.ts": passes });
    const { isOk, last } = await play(folder, [part("one")]);
    expect(isOk).toBe(false);
    expect(last).toHaveLength(2);
    expect(last[0]).toMatch(/^failed: one\/a\.test\.ts \(/);
    expect(last[0]).toMatch(reason);
    expect(last[1]).toMatch(/^[12] passed, 1 failed$/);
  });

  test("fails if vitest finds no test", async () => {
    const folder = folderOf({ "one/a.test.ts": passes });
    expect(await play(folder, [{ ...part("one"), files: ["nothing-like-it"] }])).toMatchObject({
      isOk: false,
      last: ["failed: one: vitest ended with 1 and named no file", "0 passed, 1 failed"],
    });
  });
});

test("if more files fail than can by chance, none runs again", async () => {
  const names = Array.from({ length: 11 }, (_, at) => `one/${at}.test.ts`);
  const folder = folderOf(Object.fromEntries(names.map((name) => [name, fails])));
  const { isOk, before, last } = await play(folder, [part("one")]);
  expect({ isOk, runs: before.match(/^ RUN/gm)?.length }).toEqual({ isOk: false, runs: 1 });
  expect(last.sort()).toEqual([...names.map((name) => `failed: ${name} (never holds)`), "0 passed, 11 failed"].sort());
});

test("a failed file is run again with the options of its run, but without the other files", async () => {
  const folder = folderOf({ "one/a.test.ts": flaky, "one/b.test.ts": passes });
  const some = { name: "some", options: ["-t", "second time"], files: ["one/a", "one/b"] };
  expect((await play(folder, [some])).last.at(-1)).toBe("1 passed, 0 failed, 3 skipped");
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends everything that was started", async (signal, code) => {
  const hangs = `import { test } from "vitest"; import { writeFileSync } from "node:fs"; test("hangs", async () => {
    writeFileSync("pid-" + process.pid, ""); await new Promise(() => {}); }, 600_000);`;
  const folder = folderOf({ "one/a.test.ts": hangs, "two/b.test.ts": hangs });
  const main = join(folder, "main.ts");
  const stages = JSON.stringify([[part("one"), part("two")]]);
  writeFileSync(
    main,
    `import { endAtSignals, runStages } from "${root}/tools/setup/run-tests.ts";
endAtSignals(async () => {}); void runStages(${stages}, __dirname, () => {});`,
  );
  const child = spawn("node", ["--import", join(root, "node_modules/tsx/dist/loader.mjs"), main], { cwd: folder });
  const ended = new Promise((done) => child.once("close", done));
  const pids = async () =>
    (await run("sh", ["-c", "ls | sed -n 's/^pid-//p'"], {}, folder)).stdout.split("\n").filter(Boolean);
  await expect.poll(pids, { timeout: 60_000 }).toHaveLength(2);
  child.kill(signal);
  expect(await ended).toBe(code);
  const isAlive = (pid: string) =>
    existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  await expect.poll(async () => (await pids()).filter(isAlive), { timeout: 20_000 }).toEqual([]);
});
