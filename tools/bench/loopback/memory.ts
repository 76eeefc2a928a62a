// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as path from "node:path";
import type { Cell, Suite } from "../report/cell";
import { inGroup, type Way, ways } from "./ways";

const overTcp = ways.filter((way) => way !== "unix");

/** Measures kernel memory by the difference that many connections make. */
export function memory(): Suite {
  return {
    cells: [
      cell("memory of an idle connection, both ends", "bytes", "idle", "3000"),
      // The number of bytes is less than each way can hold unread: TCP's receive buffer holds no
      // more of such small messages.
      cell("memory beside an unread byte, messages of 64 B", "bytes", "queue", "64", "50000"),
      cell("memory beside an unread byte, messages of 16 KiB", "bytes", "queue", "16384", "400000"),
    ],
  };
}

function cell(name: string, unit: string, ...words: string[]): Cell {
  return {
    name,
    unit,
    isCost: true,
    ways: overTcp,
    run: (way: Way) => {
      const [first = "", ...rest] = inGroup(way, "python3", "-B", path.join(__dirname, "memory.py"), ...words);
      return Number(execFileSync(first, rest, { encoding: "utf8" }));
    },
  };
}
