// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { makeFolder } from "./probe.js";

let program: string;

beforeAll(() => {
  program = join(makeFolder(), "advise-lists");
  const helper = join(__dirname, "../../../host/helper");
  const sourcesIn = (folder: string) =>
    readdirSync(join(helper, folder))
      .filter((name) => name.endsWith(".c"))
      .map((name) => join(helper, folder, name));
  // glibc's tcp_info has not all the fields of the kernel's.
  const words = ["-std=gnu11", "-O1", "-D_NETINET_TCP_H", "-include", "linux/tcp.h"];
  const checks = ["-fno-sanitize-recover=all", "-fsanitize=address,undefined", "-fsanitize-coverage=trace-pc"];
  const folders = ["-I", join(helper, "base"), "-I", join(helper, "advise")];
  const files = [
    join(__dirname, "advise-lists.c"),
    ...sourcesIn("advise"),
    ...sourcesIn("base"),
    join(helper, "verbs/owners.c"),
  ];
  const built = spawnSync("clang-19", [...words, ...checks, ...folders, "-o", program, ...files], { encoding: "utf8" });
  expect(built).toMatchObject({ status: 0, stderr: "" });
});

function run(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

test("a socket that the kernel has listed twice counts once, and one that was connected again twice", () => {
  expect(run("repeated")).toBe("5 sockets, 2 connections, 2 on this host\n");
});

test("what short connections of a part of the time have moved stands for the whole of it", () => {
  // One connection lasts and has moved nothing between the looks.
  expect(run("sampled")).toBe("1 and 1000 short, 3000 messages of 30000 bytes, 1001 stay on TCP\n");
});

test.each(["lasting", "short"])("the work for %s connections grows with their number, not with its square", (kind) => {
  const work = (count: number) => {
    const [, steps, onHost] = /^(\d+) steps, (\d+) on this host\n$/.exec(run(kind, `${count}`)) ?? [];
    expect(Number(onHost)).toBe(count);
    return Number(steps) / count;
  };
  expect(work(20_000) / work(10_000)).toBeLessThan(1.2);
});
