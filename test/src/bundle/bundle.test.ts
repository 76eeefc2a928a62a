// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { archive, bundleFor, generationOf, packageArchive, packNow } from "../../../src/bundle/bundle";

const built = path.join(__dirname, "../../../dist/host");
const machines = ["x86_64", "aarch64"];
const size = { sockets: 65536, pendingPairs: 8192 };

function listed(tar: Buffer): string[] {
  const ended = spawnSync("tar", ["-tvf", "-", "--numeric-owner"], { input: tar });
  expect([ended.status, ended.stderr.toString()]).toEqual([0, ""]);
  return ended.stdout.toString().trim().split("\n");
}

describe.each(machines)("for %s", (machine) => {
  const ways = [
    "splice_fmod.bpf.o",
    "splice_lsm.bpf.o",
    "splice_waitall.bpf.o",
    machine === "x86_64" ? "splice_x86.bpf.o" : "splice_arm64.bpf.o",
  ];
  const objects = ["flows.bpf.o", "redirect.bpf.o", ...ways, "track.bpf.o"].sort();

  test("prebuilt is a tar of the objects, the script and this machine's helper, and tar can list it", () => {
    const bundle = bundleFor("prebuilt", machine);
    const tar = gunzipSync(bundle.packed);
    const lines = listed(tar);
    expect(lines.map((line) => line.split(" ").at(-1))).toEqual([...objects, `probe-${machine}`, "socket-bypass"]);
    for (const line of lines) expect(line).toMatch(/^-rw(x|-)------ 0\/0 +[0-9]+ 1970-01-01 /);
    expect(createHash("sha256").update(tar).digest("hex")).toBe(bundle.digest);
  });

  test("the object of adopt is sent only on request, and changes the generation", () => {
    const extra = "adopt";
    const [plain, more] = [bundleFor("prebuilt", machine), bundleFor("prebuilt", machine, [extra])];
    const names = listed(gunzipSync(more.packed)).map((line) => line.split(" ").at(-1));
    expect(names).toEqual([...[...objects, `${extra}.bpf.o`].sort(), `probe-${machine}`, "socket-bypass"]);
    expect(generationOf(more, "prebuilt", size)).not.toBe(generationOf(plain, "prebuilt", size));
    const sources = (bundle: { packed: Buffer }) =>
      listed(gunzipSync(bundle.packed)).filter((line) => line.endsWith(` ${extra}.bpf.c`)).length;
    expect([bundleFor("target", machine), bundleFor("target", machine, [extra])].map(sources)).toEqual([0, 1]);
  });

  test("target has the sources instead of the objects", () => {
    const bundle = bundleFor("target", machine);
    const names = listed(gunzipSync(bundle.packed)).map((line) => line.split(" ").at(-1) ?? "");
    expect(names).toEqual(expect.arrayContaining(["build.sh", "track.bpf.c", "redirect.bpf.c", "socket-bypass"]));
    expect(names.filter((name) => name.endsWith(".o"))).toEqual([]);
  });

  test.each(["prebuilt", "target"] as const)(
    "%s is the archive that was packed at build time, is up to date, and has every line of the script",
    (origin) => {
      const packed = fs.readFileSync(path.join(built, `${origin}-${machine}.tar.gz`));
      const { packed: sent, identity } = bundleFor(origin, machine);
      expect(sent.equals(packed)).toBe(true);
      expect(identity.equals(packageArchive(origin, machine))).toBe(true);
      const script = spawnSync("tar", ["-xOf", "-", "socket-bypass"], { input: identity }).stdout.toString();
      const folder = path.join(built, "../../host/script");
      const parts = fs.readdirSync(folder, { recursive: true, encoding: "utf8" });
      const written = parts
        .filter((name) => name.endsWith(".sh") && name !== "receive.sh")
        .flatMap((name) => fs.readFileSync(path.join(folder, name), "utf8").split("\n"))
        // Lines that only the linters of a part need, and lines that the build replaces.
        .filter((line) => !/^# (SPDX|shellcheck|The parts of)|^@parts@$|@version@|kernels\.deny/.test(line));
      const there = new Set(script.split("\n"));
      expect(written.length).toBeGreaterThan(2000);
      expect(written.filter((line) => !there.has(line))).toEqual([]);
    },
  );
});

test("each BPF object is at most 80 KiB", () => {
  const sizes = fs
    .readdirSync(built)
    .filter((file) => file.endsWith(".bpf.o"))
    .map((file) => fs.statSync(path.join(built, file)).size);
  expect(sizes.length).toBeGreaterThanOrEqual(2);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(81920);
});

test("a BPF object has line numbers of function starts only, because all of them would be a seventh of the bundle", () => {
  const lengths = fs.readdirSync(built).flatMap((file) => {
    if (!file.endsWith(".bpf.o")) return [];
    const object = fs.readFileSync(path.join(built, file));
    // Magic, version, flags and the header's length, which tells .BTF.ext from .BTF.
    const header = object.indexOf("9feb010020000000", 0, "hex");
    return [
      header < 0
        ? "no .BTF.ext"
        : { lines: object.readUInt32LE(header + 20), relocations: object.readUInt32LE(header + 28) },
    ];
  });
  const expected = {
    lines: expect.toSatisfy((length: number) => length > 0 && length < 600),
    relocations: expect.toSatisfy((length: number) => length > 20),
  };
  expect(lengths.length).toBeGreaterThanOrEqual(3);
  expect(lengths).toEqual(lengths.map(() => expected));
});

test("the same files give the same bytes in any order", () => {
  const files: [string, Buffer][] = [
    ["b", Buffer.from("2")],
    ["a.o", Buffer.from("1")],
    ["a", Buffer.alloc(600, 3)],
  ];
  const one = archive(new Map(files));
  expect(archive(new Map([...files].reverse())).equals(one)).toBe(true);
  expect(packNow(one).equals(packNow(archive(new Map(files))))).toBe(true);
  expect(listed(one).map((line) => line.split(" ").at(-1))).toEqual(["a.o", "a", "b"]);
});

test("a tar of any length ends with two empty blocks", () => {
  for (const length of [0, 1, 511, 512, 513, 8192, 9216, 9728, 10240]) {
    const tar = archive(new Map([["a", Buffer.alloc(length, 1)]]));
    expect(tar.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true);
    expect(listed(tar)).toHaveLength(1);
  }
});

test("any other type of machine is refused", () => {
  expect(() => bundleFor("prebuilt", "riscv64")).toThrow(
    "socket-bypass: host: expected a machine of type x86_64 or aarch64, found riscv64",
  );
});

test("the generation changes with content, origin and map size, and with nothing else", () => {
  const bundle = bundleFor("prebuilt", "x86_64");
  const first = generationOf(bundle, "prebuilt", size);
  expect(first).toMatch(/^[0-9a-f]{12}$/);
  const sentAnotherWay = { ...bundle, packed: Buffer.alloc(0), digest: "" };
  expect(generationOf(sentAnotherWay, "prebuilt", { ...size })).toBe(first);
  const others = [
    generationOf({ ...bundle, identity: Buffer.concat([bundle.identity, Buffer.from("x")]) }, "prebuilt", size),
    generationOf(bundle, "target", size),
    generationOf(bundle, "deployer", size),
    generationOf(bundle, "prebuilt", { ...size, sockets: 65535 }),
    generationOf(bundle, "prebuilt", { ...size, pendingPairs: 8191 }),
    generationOf(bundle, "prebuilt", { sockets: size.pendingPairs, pendingPairs: size.sockets }),
    generationOf(bundleFor("prebuilt", "aarch64"), "prebuilt", size),
  ];
  expect(new Set([first, ...others]).size).toBe(others.length + 1);
});

test("a tar keeps the contents of its files, and refuses a name that does not fit its header", () => {
  const files = new Map([
    ["empty", Buffer.alloc(0)],
    [`${"n".repeat(95)}.bin`, Buffer.from(Array.from({ length: 1500 }, (_, at) => at % 256))],
  ]);
  for (const [name, data] of files) {
    const ended = spawnSync("tar", ["-xOf", "-", name], { input: archive(files) });
    expect([ended.status, ended.stdout.equals(data)]).toEqual([0, true]);
  }
  expect(() => archive(new Map([["n".repeat(100), Buffer.alloc(0)]]))).toThrow("expected a name of at most 99 bytes");
});
