// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeFolder } from "./probe.js";

const seed = Number(process.env.SOCKET_BYPASS_FUZZ_SEED ?? 1);
const messages = 200_000;

test(`advise reads damaged answers of netlink within their bounds (seed ${seed})`, () => {
  const program = join(makeFolder(), "advise-fuzz");
  const helper = join(__dirname, "../../../host/helper");
  const sources = [join(__dirname, "advise-fuzz.c"), join(helper, "base/text.c")];
  // glibc's tcp_info has not all the fields of the kernel's.
  const tcp = ["-D_NETINET_TCP_H", "-include", "linux/tcp.h"];
  const words = ["-O1", "-g", "-Wall", "-Wextra", "-fno-sanitize-recover=all", "-fsanitize=address,undefined", ...tcp];
  const folders = ["-I", join(helper, "base"), "-I", join(helper, "advise")];
  const built = spawnSync("clang-19", [...words, ...folders, "-o", program, ...sources], { encoding: "utf8" });
  expect(built).toMatchObject({ status: 0, stderr: "" });
  const { status, stdout, stderr } = spawnSync(program, [`${seed}`, `${messages}`], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  // About half of them are whole.
  expect(Number(stdout)).toBeGreaterThan(messages / 10);
  expect(Number(stdout)).toBeLessThan(messages);
});
