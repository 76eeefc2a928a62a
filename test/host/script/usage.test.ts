// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Host, isSkipped, root, run, shellFolder, shells } from "../../support/host.js";

const script = join(root, "dist/host/socket-bypass");
const text = readFileSync(script, "utf8");

/** Gives the rows of a table in the script. */
function rowsOf(table: string): string[][] {
  const rows = new RegExp(`^${table}\\(\\) \\{\\n\\tcat <<'END'\\n(.*?)^END$`, "ms").exec(text)?.[1] ?? "";
  return rows
    .trimEnd()
    .split("\n")
    .map((row) => row.split("|"));
}

describe("the tables of the script", () => {
  const header = readFileSync(join(root, "bpf/socket_bypass.h"), "utf8");
  const enumOf = (source: string, name: string) =>
    [...(new RegExp(`^enum ${name} \\{(.*?)^\\};`, "ms").exec(source)?.[1] ?? "").matchAll(/^\t([A-Z_]+)[, ]/gm)].map(
      (match) => `${match[1]}`,
    );

  test("have a function for each verb", () => {
    const verbs = rowsOf("verb_table").map(([, name = ""]) => name);
    expect(verbs).toContain("boot start");
    const functions = [...text.matchAll(/^cmd_(\w+)\(\)/gm)].map(([, name = ""]) => name);
    expect(functions.sort()).toEqual(verbs.map((name) => name.replace(" ", "_")).sort());
  });

  test("list the counters by the names and in the order of the programs", () => {
    const names = rowsOf("counter_table").map(([name = ""]) => `COUNT_${name.toUpperCase()}`);
    expect([...names, "COUNTERS"]).toEqual(enumOf(header, "counter"));
  });

  test("number the knobs as the programs do", () => {
    const knobs = enumOf(header, "knob");
    const pairs = [...text.matchAll(/\b(drain|policy|queue|refresh|unread)_knob=(\d)/g)];
    const numbers = Object.fromEntries(pairs.map(([, name, number]) => [name, Number(number)]));
    expect(numbers).toEqual({
      drain: knobs.indexOf("KNOB_DRAIN"),
      policy: knobs.indexOf("KNOB_POLICY"),
      queue: knobs.indexOf("KNOB_QUEUE_BYTES"),
      refresh: knobs.indexOf("KNOB_REFRESH"),
      unread: knobs.indexOf("KNOB_UNREAD"),
    });
  });

  test("have the same numbers in the tap of the helper", () => {
    const control = readFileSync(join(root, "host/helper/tap/control.c"), "utf8");
    const numbers = Object.fromEntries(
      [...control.matchAll(/\b((?:KNOB|COUNT)_[A-Z_]+) = (\d+)/g)].map(([, name, number]) => [name, Number(number)]),
    );
    expect(numbers).toEqual({
      KNOB_TAP: enumOf(header, "knob").indexOf("KNOB_TAP"),
      KNOB_TAPPED: enumOf(header, "knob").indexOf("KNOB_TAPPED"),
      COUNT_TAP_LOST: enumOf(header, "counter").indexOf("COUNT_TAP_LOST"),
    });
  });

  test("name what adopt has found in the order of its program", () => {
    const words = /^task_names='(.*)'$/m.exec(text)?.[1]?.split(" ") ?? [];
    const tasks = enumOf(readFileSync(join(root, "bpf/adopt.bpf.c"), "utf8"), "task").slice(2, -1);
    const said = words.map((word) =>
      /^(other_cgroup|policy)$/.test(word) ? `${word.replace("other_", "")}_skipped` : word,
    );
    expect(said.map((word) => `TASK_${word.toUpperCase()}`)).toEqual(tasks);
  });
});

describe.each(shells)("under %s", (shell) => {
  const raw = (...words: string[]) => run(join(shellFolder(shell), "sh"), [script, ...words]);
  const good = ["--instance", "i", "--generation", "0123456789ab", "--owner", "a/b/c/d"];

  test.each([
    [["dance"], "expected a verb, found dance"],
    [["map"], "expected a verb, found map "],
    [["map", "dance"], "expected a verb, found map dance"],
    [["program", "load"], "program load: expected track or redirect, found nothing"],
    [["program", "unload", "flows", ...good], "program unload: expected track or redirect, found flows"],
    [["map", "create"], "map create: expected --instance"],
    [["map", "create", "--instance", "i"], "map create: expected --generation"],
    [["map", "create", "--instance", "i", "--generation", "0123456789ab"], "map create: expected --owner"],
    [["map", "create", ...good, "--frobnicate", "1"], "map create: expected a flag, found --frobnicate"],
    [["map", "create", ...good, "extra"], "map create: expected a flag, found extra"],
    [["map", "create", ...good, "--sockets"], "--sockets: expected a value, found nothing"],
    [["map", "create", ...good, "--sockets", "many"], "--sockets: expected a number, found many"],
    [["map", "create", ...good, "--sockets", ""], "--sockets: expected a number, found "],
    [["attach", ...good, "--boot", ""], "--boot: expected true or false, found "],
    [["attach", ...good, "--splice-guard", ""], "--splice-guard: expected auto, require or off, found "],
    [["map", "create", ...good, "--pending", "-1"], "--pending: expected a number, found -1"],
    [["attach", ...good, "--generation", "0123456789AB"], "--generation: expected 12 hex digits, found 0123456789AB"],
    [["attach", ...good, "--generation", "0123"], "--generation: expected 12 hex digits, found 0123"],
    [["attach", ...good, "--owner", "a\nb"], "--owner: expected one line of printable text"],
    [["attach", ...good, "--state-dir", "var/lib"], "--state-dir: expected a clean absolute path, found var/lib"],
    [
      ["attach", ...good, "--state-dir", "/var/../lib"],
      "--state-dir: expected a clean absolute path, found /var/../lib",
    ],
    [["policy", "set", ...good], "policy set: expected --everything, --ports or --cidrs, found none"],
    [
      ["policy", "set", ...good, "--everything", "--ports", "1"],
      "policy set: expected --everything or a filter, found both",
    ],
    [
      ["policy", "set", ...good, "--ports", "0"],
      'policy: expected a port (1 to 65535) or a range such as 8000-8999, found "0"',
    ],
    [
      ["policy", "set", ...good, "--ports", "5-4"],
      'policy: expected a port (1 to 65535) or a range such as 8000-8999, found "5-4"',
    ],
    [
      ["policy", "set", ...good, "--cidrs", "10.0.0.0/33"],
      'policy: expected a CIDR such as 10.0.0.0/8 or fd00::/8, found "10.0.0.0/33"',
    ],
    [["policy", "set", ...good, "--everything", "--enabled", "no"], "--enabled: expected true or false, found no"],
    [
      ["policy", "set", ...good, "--ports", Array(65).fill("1").join()],
      "policy: expected at most 64 ports and 64 CIDRs, found 65 and 0",
    ],
    [["flows", "extra"], "flows: expected a flag, found extra"],
    [["metrics", "--frobnicate"], "metrics: expected a flag, found --frobnicate"],
    [["metrics", "--textfile"], "--textfile: expected a value, found nothing"],
    [["bench", "--seconds", "1.5"], "--seconds: expected a number, found 1.5"],
    [["bench", "--seconds", "5"], "--seconds: expected 6 to 999999, found 5"],
    [["advise", "--seconds", "0"], "--seconds: expected 1 to 3600, found 0"],
    [["advise", "--seconds", "3601"], "--seconds: expected 1 to 3600, found 3601"],
    [["advise", "--bench"], "--bench: expected a value, found nothing"],
  ])("%j is wrong usage", async (words, reason) => {
    const { code, stdout, stderr } = await raw(...words);
    expect({ code, stdout, stderr: stderr.replace(/; see sh .* help\n$/, "") }).toEqual({
      code: 2,
      stdout: "",
      stderr: `socket-bypass: ${reason}`,
    });
  });

  test.each(["version", "--version"])("%s prints the version of the package", async (word) => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(await raw(word)).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("help, or no verb at all, prints every verb and every flag", async () => {
    const { code, stdout, stderr } = await raw("help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect((await raw()).stdout).toBe(stdout);
    const named = (pattern: RegExp) => [...stdout.matchAll(pattern)].map((match) => match[1]);
    expect(named(/^ {2,4}([a-z]+(?: [a-z]+)?)(?: {2}|$)/gm)).toEqual(rowsOf("verb_table").map(([, name]) => name));
    expect(named(/^ {2}--([a-z-]+)/gm)).toEqual(rowsOf("flag_table").map(([name]) => name));
    expect(stdout).not.toMatch(/ $/m);
  });

  test("an instance name with anything but a-z, 0-9 and dashes is refused", async () => {
    const hostile = fc
      .string({ unit: "binary", minLength: 1 })
      .filter((name) => !/^[a-z0-9][a-z0-9-]{0,63}$/.test(name) && !name.includes("\0"));
    const examples = [
      "..",
      "a/b",
      "a.b",
      "-a",
      "a b",
      "$(id)",
      "`id`",
      "'",
      '"',
      "a;b",
      "A",
      "é",
      "a\n",
      "*",
      "~",
      "a".repeat(65),
    ];
    await fc.assert(
      fc.asyncProperty(hostile, async (name) => {
        for (const verb of ["remove", "status", "metrics", "flows", "bench"]) {
          const { code, stdout, stderr } = await raw(verb, "--instance", name);
          expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
          expect(stderr).toMatch(/^socket-bypass: --instance: expected /);
        }
      }),
      { numRuns: 25, examples: examples.map((name): [string] => [name]) },
    );
  });

  test("a cgroup path is refused if it leaves the mount or names a unit that may vanish", async () => {
    for (const path of ["..", "/a/../..", "a/./b", "/system.slice/nginx.service", "a.scope/b"]) {
      const { code, stderr } = await raw("preflight", "--cgroup", path);
      expect({ path, code }).toEqual({ path, code: 2 });
      expect(stderr).toContain(`found ${path}`);
    }
  });
});

describe.skipIf(isSkipped).each(shells)("on this machine under %s", (shell) => {
  test("a cgroup that does not exist is refused with its folder and the mount", async () => {
    const host = new Host(shell);
    const { code, stderr } = await host.verb("preflight", "--cgroup", "/no-such-slice");
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /--cgroup \/no-such-slice: expected the folder \/.*\/no-such-slice \(cgroup v2 is mounted at \/.*\), found none; /,
    );
  });

  test("an owner of any printable text is kept and shown unchanged", async () => {
    const host = new Host(shell);
    const owner = `pröject/st "a" ck/$(id)\\n'; rm -rf x/-e * ~`;
    expect(await host.apply("--owner", owner)).toMatchObject({ code: 0, stderr: "" });
    expect(await host.status()).toMatchObject({ healthy: true, owner });
    expect(await host.verb("remove", "--owner", owner)).toMatchObject({ code: 0, stdout: "done\n" });
  });

  test("a cgroup with blanks, quotes and backslashes in its name works like any other", async () => {
    const host = new Host(shell);
    const cgroup = `${host.cgroup}/below/a b"c'd\\x2d$e`;
    const { mkdirSync, rmdirSync } = await import("node:fs");
    mkdirSync(join(host.cgroupFolder, "..", cgroup));
    expect(await host.apply("--cgroup", cgroup)).toMatchObject({ code: 0, stderr: "" });
    expect(await host.status()).toMatchObject({ healthy: true, cgroup, attached: [{ cgroup }] });
    expect(await host.verb("remove")).toMatchObject({ code: 0, stderr: "" });
    expect(host.traces()).toEqual([]);
    rmdirSync(join(host.cgroupFolder, "..", cgroup));
  });
});
