// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { asBase85 } from "../../src/host/base85";
import { readFound } from "../../src/host/drift";
import { stepNames } from "../../src/host/lines";
import { shellLine } from "../../src/host/quote";
import { shells } from "./shells";

// The same ones in each run; fast-check tells the seed again where it found something, and how to come to the smallest case.
const seed = Number(process.env.SOCKET_BYPASS_FUZZ_SEED ?? 1);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "socket-bypass-fuzz-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const step = { whole: true, serial: 1700000001, generation: "0123456789ab" };
const whole = {
  epochs: Object.fromEntries(stepNames.map((name) => [name, 1])),
  steps: Object.fromEntries(stepNames.map((name) => [name, step])),
  policy: { everything: true, ports: "", cidrs: "", enabled: true, queueBytes: 0, refreshSeconds: 0 },
  problems: ["nothing is attached"],
};
const last = Object.fromEntries(
  stepNames.map((name) => [
    name,
    { line: "sh x policy set --enabled true --instance e --generation 0 --owner o", answer: "1" },
  ]),
);

/** The answer of a host with something else in one place of it, or cut, or nothing like it. */
const printed = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.json(),
  fc
    .tuple(
      fc.constantFrom(...placesIn(whole)),
      fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 1.5, 1e99, "\u001b[2J", "__proto__")),
    )
    .map(([place, value]) => JSON.stringify(put(place, value, whole))),
  fc.nat(JSON.stringify(whole).length).map((length) => JSON.stringify(whole).slice(0, length)),
  fc.string({ unit: "binary", maxLength: 40 }).map((name) => `machine ${name}`),
);

test(`whatever a host answers, only the steps' numbers and short, printable words come of it (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.tuple(fc.constantFrom("", "Welcome!\n"), printed, fc.boolean()), ([before, text, isKnown]) => {
      const found = readFound(before + text, "x86_64", isKnown ? last : {});
      if (found === undefined) return;
      for (const [name, number] of Object.entries(found.epochs)) {
        expect(stepNames).toContain(name);
        expect(Number.isSafeInteger(number) && number >= 0).toBe(true);
      }
      expect(found.problems.length).toBeLessThanOrEqual(21);
      for (const problem of found.problems) expect(problem).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{0,301}$/u);
    }),
    { seed, numRuns: 3000 },
  );
});

describe.each([
  ["fish", ["fish", "--no-config", "-c"]],
  ["tcsh", ["tcsh", "-f", "-c"]],
] as const)("%s", (_, [program, ...words]) => {
  // They take a newline in quotes otherwise than sh, which is why no argument may hold one.
  const word = fc.string({
    unit: fc.oneof(fc.constantFrom(..."'\"\\$`!~*=-#;&|<>(){}[]?%^, \t"), fc.stringMatching(/^[ -~]$/)),
    maxLength: 30,
  });

  test(`reads a line of words as just these words (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 40 }), (given) => {
        const { status, stdout } = spawnSync(program, [...words, shellLine(["/usr/bin/printf", "<%s>\\0", ...given])]);
        expect([status, stdout.toString()]).toEqual([0, given.map((one) => `<${one}>\0`).join("")]);
      }),
      { seed, numRuns: 60 },
    );
  }, 60_000);
});

describe.each(shells)("the unpacker under %s", (_, [shell = "", ...words]) => {
  const unpack = fs.readFileSync(path.join(__dirname, "../../host/unpack.sh"), "utf8");
  const ran = path.join(folder, "ran");
  const bundle = path.join(folder, "bundle");
  fs.mkdirSync(bundle, { recursive: true });
  // Bytes that do not pack, so that there are many lines to damage.
  const noise = Array.from({ length: 40 }, (_, at) => createHash("sha512").update(`${at}`).digest("hex"));
  fs.writeFileSync(path.join(bundle, "socket-bypass"), `cat "$0" >${ran}\nexit 0\n# ${noise.join("")}\n`);
  const script = fs.readFileSync(path.join(bundle, "socket-bypass"));
  const tar = execFileSync("tar", ["-c", "--mtime=@0", "--owner=0", "--group=0", "-C", bundle, "."]);
  const digest = createHash("sha256").update(tar).digest("hex");
  const lines = asBase85(gzipSync(tar)).match(/.{1,75}/g) ?? [];
  const send = (body: Buffer) => {
    const TMPDIR = fs.mkdtempSync(path.join(folder, "tmp-"));
    fs.rmSync(ran, { force: true });
    const [head, tail] = [unpack.slice(0, -"__BUNDLE__\n".length), "\n__BUNDLE__\n"];
    const ended = spawnSync(shell, [...words, "-s", "--", "object", "install", "--digest", digest], {
      input: Buffer.concat([Buffer.from(head), body, Buffer.from(tail)]),
      env: { ...process.env, TMPDIR },
      timeout: 60_000,
    });
    return { code: ended.status, ran: fs.existsSync(ran), left: fs.readdirSync(TMPDIR) };
  };
  /** A place, and what happens to it. */
  const damage = fc.tuple(
    fc.nat(),
    fc.constantFrom<(at: number, whole: Buffer, byte: number) => Buffer[]>(
      (at, whole, byte) => [whole.subarray(0, at), Buffer.of(byte), whole.subarray(at + 1)],
      (at, whole, byte) => [whole.subarray(0, at), Buffer.of(byte), whole.subarray(at)],
      (at, whole) => [whole.subarray(0, at), whole.subarray(at + 1)],
      (at, whole) => [whole.subarray(0, at)],
      (at, whole) => [whole.subarray(at)],
      (at, whole) => [whole.subarray(0, at), whole.subarray(at / 2)],
    ),
    fc.integer({ min: 1, max: 255 }),
  );

  test(`runs of a bundle that was damaged nothing but what was sent, and leaves nothing of it (seed ${seed})`, () => {
    const text = Buffer.from(lines.join("\n"));
    expect(send(text)).toEqual({ code: 0, ran: true, left: [] });
    fc.assert(
      fc.property(damage, ([place, change, byte]) => {
        const body = Buffer.concat(change(place % text.length, text, byte));
        const { code, ran: isRun, left } = send(body);
        // Some bytes of a packed file, such as the time in its head, say nothing of what is in it.
        expect([isRun, code]).toEqual(isRun ? [true, 0] : [false, 1]);
        if (isRun) expect(fs.readFileSync(ran).equals(script)).toBe(true);
        expect(left).toEqual([]);
      }),
      { seed, numRuns: 40 },
    );
  }, 120_000);
});

function placesIn(tree: unknown, at: readonly string[] = []): string[][] {
  if (typeof tree !== "object" || tree === null) return [[...at]];
  return [[...at], ...Object.entries(tree).flatMap(([key, one]) => placesIn(one, [...at, key]))];
}

function put(place: readonly string[], value: unknown, tree: unknown): unknown {
  const [key, ...rest] = place;
  if (key === undefined) return value;
  if (Array.isArray(tree)) return tree.map((one, at) => (`${at}` === key ? put(rest, value, one) : one));
  const inside = tree as Record<string, unknown>;
  return { ...inside, [key]: put(rest, value, inside[key]) };
}
