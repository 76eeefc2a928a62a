// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolder } from "./probe.js";

/** What is taken of each answer, and how it ends. */
const cases: Record<string, string> = {
  whole: "2 whole",
  "two-datagrams": "2 whole",
  interrupted: "1 whole",
  // Sockets come and go while they are listed.
  changed: "2 whole",
  "no-ipv6": "0 whole",
  "no-ipv4": "0 ENOENT",
  refused: "0 EPERM",
  failed: "2 ENOMEM",
  cut: "2 EBADMSG",
  tiny: "2 EBADMSG",
  "too-large": "0 EBADMSG",
  empty: "0 EBADMSG",
  // A caller that takes no more says itself why.
  unwanted: "1 errno 125",
};

// The answers are made up, as the kernel writes them; a kernel that fails so cannot be had at will.
test("a list of sockets is whole, or names why not: refused, failed, cut or too large", () => {
  const program = join(makeFolder(), "netlink");
  const words = ["-O1", "-g", "-Wall", "-Wextra", "-fno-sanitize-recover=all", "-fsanitize=address,undefined"];
  const base = join(__dirname, "../../../host/helper/base");
  const sources = [join(__dirname, "netlink.c"), join(base, "netlink.c"), join(base, "text.c")];
  const built = spawnSync("clang-19", [...words, "-I", base, "-o", program, ...sources], { encoding: "utf8" });
  expect(built).toMatchObject({ status: 0, stderr: "" });
  const names = Object.keys(cases);
  // Twice, so that each case follows two different ones.
  const { status, stdout, stderr } = spawnSync(program, [...names, ...names], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = names.map((name) => `${name}: ${cases[name]}\n`).join("");
  expect(stdout).toBe(lines + lines);
});
