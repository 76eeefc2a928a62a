// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, test } from "vitest";
import { asBase85 } from "../../src/host/base85";
import { shells } from "./shells";

const unpack = fs.readFileSync(path.join(__dirname, "../../host/unpack.sh"), "utf8");
const decode = /^decode\(\) \{\n[\s\S]*?^\}\n/m.exec(unpack)?.[0] ?? "";

// busybox sh runs its own awk; dash runs that of the machine.
test.each(shells)("%s reads back every byte, at every length of the last group", (_, [program = "", ...words]) => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const noise = Array.from({ length: 400 }, (_, at) => createHash("sha512").update(`${at}`).digest());
  const samples = [0, 1, 2, 3, 4, 5].map((cut) =>
    Buffer.concat([every, ...noise, Buffer.alloc(9, 255), every]).subarray(cut),
  );
  const small = [1, 2, 3, 4, 5].flatMap((length) => [0, 1, 127, 255].map((byte) => Buffer.alloc(length, byte)));
  for (const data of [Buffer.alloc(0), ...small, ...samples]) {
    const input = asBase85(data).replace(/.{1,1000}/g, "$&\n");
    const ended = spawnSync(program, [...words, "-c", `${decode}decode`], {
      input,
      env: { ...process.env, LC_ALL: "C" },
    });
    expect([ended.status, ended.stderr.toString()]).toEqual([0, ""]);
    expect(ended.stdout.equals(data)).toBe(true);
  }
});

test("the text needs no escape in JSON or in a quoted here-document", () => {
  const text = asBase85(
    Buffer.concat(Array.from({ length: 500 }, (_, at) => createHash("sha512").update(`${at}`).digest())),
  );
  expect(new Set(text).size).toBe(85);
  expect(text).not.toMatch(/[^!-~]|["&'<>\\`$_]/);
});
