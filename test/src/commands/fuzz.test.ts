// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { archive } from "../../../src/bundle/bundle";
import { readFound } from "../../../src/commands/drift-report";
import { shellLine } from "../../../src/commands/quote";
import { receiving } from "../../../src/commands/staged";
import { stepNames } from "../../../src/commands/verbs";
import { shells } from "./shells";

// Every run tries the same cases. If one fails, fast-check reports the seed and how to reach the
// smallest failing case.
const seed = Number(process.env.SOCKET_BYPASS_FUZZ_SEED ?? 1);

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

/** An answer of a host with one value replaced, truncated, or something else altogether. */
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

test(`whatever a host answers, only epochs of known steps and short, printable problems result (seed ${seed})`, () => {
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
  // These shells read a quoted newline differently from sh, which is why no argument may contain
  // one.
  const word = fc.string({
    unit: fc.oneof(fc.constantFrom(..."'\"\\$`!~*=-#;&|<>(){}[]?%^, \t"), fc.stringMatching(/^[ -~]$/)),
    maxLength: 30,
  });

  test(`splits a line into exactly the words that it was made of (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 40 }), (given) => {
        const { status, stdout } = spawnSync(program, [...words, shellLine(["/usr/bin/printf", "<%s>\\0", ...given])]);
        expect([status, stdout.toString()]).toEqual([0, given.map((one) => `<${one}>\0`).join("")]);
      }),
      { seed, numRuns: 60 },
    );
  }, 60_000);
});

describe.skipIf(process.getuid?.() !== 0).each(shells)(
  "the script that receives the files, under %s",
  (_, [shell = "", ...words]) => {
    // No folder above it may be writable for others.
    const stateDir = fs.mkdtempSync(`/var/lib/socket-bypass-test-${process.pid}-`);
    afterAll(() => fs.rmSync(stateDir, { recursive: true, force: true }));
    // Incompressible bytes, so that there is much to damage.
    const noise = Array.from({ length: 40 }, (_, at) => createHash("sha512").update(`${at}`).digest("hex"));
    const script = Buffer.from(`# ${noise.join("")}\n`);
    const tar = archive(new Map([["socket-bypass", script]]));
    const digest = createHash("sha256").update(tar).digest("hex");
    const send = (packed: Buffer) => {
      const { words: line, script: head } = receiving({ stateDir, instance: "x", digest, packed });
      const ended = spawnSync(shell, [...words, ...line.slice(1)], {
        input: Buffer.concat([head, packed]),
        timeout: 60_000,
      });
      const folder = path.join(stateDir, "_staged-x");
      const file = path.join(folder, digest, "socket-bypass");
      const whole = fs.existsSync(file) && fs.readFileSync(file).equals(script);
      const left = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
      fs.rmSync(folder, { recursive: true, force: true });
      return { code: ended.status, whole, left };
    };
    /** A position, and the damage done there. */
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

    test(`keeps the files exactly as they were sent or, after damage, nothing (seed ${seed})`, () => {
      const packed = gzipSync(tar);
      expect(send(packed)).toEqual({ code: 0, whole: true, left: [digest] });
      fc.assert(
        fc.property(damage, ([place, change, byte]) => {
          const answer = send(Buffer.concat(change(place % packed.length, packed, byte)));
          // Some bytes, such as the time in the header of gzip, do not affect the contents.
          expect(answer).toEqual(
            answer.whole ? { code: 0, whole: true, left: [digest] } : { code: 1, whole: false, left: [] },
          );
        }),
        { seed, numRuns: 40 },
      );
    }, 120_000);
  },
);

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
