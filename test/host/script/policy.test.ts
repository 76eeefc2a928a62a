// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { faultyBpftool, Host, isSkipped, removeTool, root, run, shellFolder, shells } from "../../support/host.js";

// The encoder runs alone, cut out of the script, because a live map for each of hundreds of
// policies would take minutes.
const encoder =
  /^encode_policy\(\).*?^}$/ms.exec(readFileSync(join(root, "host/script/lib/encode-policy.sh"), "utf8"))?.[0] ?? "";

describe.each(shells)("under %s", (shell) => {
  const encode = async (ports: string, cidrs: string) => {
    const line = `PATH=${shellFolder(shell)}:/usr/bin; ${encoder}\nencode_policy 0 "$0" "$1"`;
    const { code, stdout, stderr } = await run(join(shellFolder(shell), "sh"), ["-c", line, ports, cidrs]);
    return { code, stderr, bytes: Buffer.from(stdout.replaceAll(" ", ""), "hex") };
  };

  test("ports and ranges are stored in the byte order of this machine, from byte 16 on", async () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const range = fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    await fc.assert(
      fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 64 }), async (ranges) => {
        const { bytes } = await encode(ranges.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(), "");
        expect(bytes.length).toBe(2320);
        expect([0, 4, 8].map((at) => bytes.readUInt32LE(at))).toEqual([0, ranges.length, 0]);
        expect(ranges.map((_, i) => [bytes.readUInt16LE(16 + 4 * i), bytes.readUInt16LE(18 + 4 * i)])).toEqual(ranges);
        expect(bytes.subarray(16 + 4 * ranges.length).every((byte) => byte === 0)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("ports whose sockets the kernel takes over count as named if listed alone, not in a range", async () => {
    const named = async (ports: string) => (await encode(ports, "")).bytes.readUInt32LE(12);
    expect(await named("1-65535")).toBe(0);
    expect(await named("3260-3261,80,2048-2049")).toBe(0);
    expect([await named("3260"), await named("860"), await named("2049"), await named("10809")]).toEqual([1, 2, 4, 8]);
    expect(await named("1-65535,10809,3260,10809,3260")).toBe(9);
  });

  test("CIDRs are stored as addresses and masks in network order, IPv4 as ::ffff:a.b.c.d", async () => {
    const four = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }));
    const six = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(four, six), { minLength: 1, maxLength: 16 }), async (cidrs) => {
        const { bytes, stderr } = await encode("", cidrs.map(([address, bits]) => `${address}/${bits}`).join());
        expect(stderr).toBe("");
        cidrs.forEach(([address, bits], i) => {
          const mask = maskOf(address.includes(":") ? bits : bits + 96);
          const masked = addressOf(address).map((byte, j) => byte & (mask[j] ?? 0));
          expect([address, bits, bytes.subarray(272 + 32 * i, 288 + 32 * i).toString("hex")]).toEqual([
            address,
            bits,
            Buffer.from(masked).toString("hex"),
          ]);
          expect(bytes.subarray(288 + 32 * i, 304 + 32 * i).toString("hex")).toBe(Buffer.from(mask).toString("hex"));
        });
      }),
      {
        numRuns: 15,
        examples: [
          [
            [
              ["::", 0],
              ["::ffff:10.1.2.3", 104],
              ["1::", 1],
              ["::1", 128],
              ["1:2:3:4:5:6:7::", 128],
              ["0.0.0.0", 0],
            ],
          ],
        ],
      },
    );
  });

  test.each([
    "10.0.0/8",
    "256.1.1.1",
    "10.0.0.0/33",
    "::1::",
    ":::",
    "1:2:3",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "fd00::/129",
    "10.0.0.0/8/8",
    "::1%eth0",
    ":1",
    "1:",
    "01.2.3.4",
    "/8",
    "1.2.3.4:1",
    "::1.2.3",
    "1.2.3.4/",
    "a.b.c.d",
    "g::",
  ])("%s is refused as a CIDR", async (cidr) => {
    const { code, stderr } = await encode("", `fd00::/8,${cidr}`);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `policy: expected a CIDR such as 10.0.0.0/8 or fd00::/8, found "${cidr}"\n`,
    });
  });
});

describe.skipIf(isSkipped).each(shells)("on this machine under %s", (shell) => {
  test("a new policy is written to the slot not in use before the selector names it", async () => {
    const host = new Host(shell);
    await host.apply();
    const calls = faultyBpftool(host, 0, "fail");
    expect(await host.verb("policy set", "--ports", "80")).toMatchObject({ code: 0 });
    const writes = readFileSync(calls, "utf8")
      .split("\n")
      .filter((call) => call.includes("map update"));
    expect(writes.map((call) => /maps\/(\w+) key hex (\S+) 00 00 00 value hex (\S+)/.exec(call)?.slice(1))).toEqual([
      ["policies", "00", "00"],
      ["knobs", "01", "00"],
    ]);
    removeTool(host, "bpftool");
    expect(slots(host)).toEqual([
      [0, 1, 80],
      [1, 0, 0],
    ]);
    expect(await host.status()).toMatchObject({ healthy: true, policy: { everything: false, ports: "80", cidrs: "" } });
  });

  test("a policy that fails to go live stays declared, and the next run writes it", async () => {
    const host = new Host(shell);
    await host.apply();
    faultyBpftool(host, 1, "fail");
    expect(await host.verb("policy set", "--ports", "81")).toMatchObject({ code: 1 });
    removeTool(host, "bpftool");
    expect((await host.status()).problems).toContain(`${host.generation}: the policy in force is not the declared one`);
    expect(await host.verb("policy set", "--ports", "81")).toMatchObject({ code: 0 });
    expect(await host.status()).toMatchObject({ healthy: true });
  });
});

function slots(host: Host): number[][] {
  const dump = execFileSync(
    "bpftool",
    ["-j", "map", "dump", "pinned", join(host.pins, host.generation, "maps/policies")],
    { encoding: "utf8" },
  );
  return JSON.parse(dump).map(({ value }: { value: string[] }) => {
    const bytes = Buffer.from(value.map(Number));
    return [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt16LE(16)];
  });
}

function maskOf(bits: number): number[] {
  return Array.from({ length: 16 }, (_, i) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - 8 * i))));
}

function addressOf(text: string): number[] {
  const dotted = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...part: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = part.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const whole = text.includes(":") ? dotted : `::ffff:${dotted}`;
  const [head = "", tail] = whole.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":"));
  const missing = 8 - words(head).length - words(tail ?? "").length;
  return [...words(head), ...Array(tail === undefined ? 0 : missing).fill("0"), ...words(tail ?? "")].flatMap(
    (word) => {
      const value = Number.parseInt(word, 16);
      return [value >> 8, value & 255];
    },
  );
}
