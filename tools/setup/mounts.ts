// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";

/** Gives where the first file system of this type is mounted, by the lines of /proc/mounts. */
export function findMount(type: string, mounts: string = fs.readFileSync("/proc/mounts", "utf8")): string | undefined {
  const lines = mounts.split("\n").map((line) => line.split(" "));
  return lines.find((fields) => fields[2] === type)?.[1];
}
