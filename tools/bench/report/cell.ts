// SPDX-License-Identifier: Apache-2.0
import type { Way } from "../loopback/ways";
import { median } from "./median";

/** One measurement, which is taken once for each way and round. */
export interface Cell {
  readonly name: string;
  readonly unit: string;
  /** Whether less is better. */
  readonly isCost?: boolean;
  readonly ways: readonly Way[];
  run(way: Way): Promise<number> | number;
}

/** Cells that need the same environment. */
export interface Suite {
  readonly cells: readonly Cell[];
  open?(): Promise<void> | void;
  close?(): Promise<void> | void;
}

/**
 * Medians are in the cell's unit; a ratio is the median of each round's ratio to that round's plain
 * TCP.
 */
export interface Result {
  readonly unit: string;
  readonly isCost: boolean;
  readonly medians: Partial<Record<Way, number>>;
  readonly ratios: Partial<Record<Way, number>>;
  /** The smallest and the largest of the rounds' ratios. */
  readonly spread: Partial<Record<Way, readonly [number, number]>>;
}

/**
 * Each round takes every way once, in turn, and every other round takes them in reverse, so that
 * drift of the machine affects all alike.
 */
export async function measure(cell: Cell, rounds: number): Promise<Result> {
  const found = new Map<Way, number[]>(cell.ways.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? cell.ways : [...cell.ways].reverse()) {
      found.get(way)?.push(await cell.run(way));
    }
  }
  const plain = found.get("tcp") ?? [];
  const medians: Result["medians"] = {};
  const ratios: Result["ratios"] = {};
  const spread: Record<string, readonly [number, number]> = {};
  for (const [way, values] of found) {
    const each = values.map((value, round) => value / (plain[round] ?? Number.NaN));
    medians[way] = rounded(median(values));
    ratios[way] = rounded(median(each));
    spread[way] = [rounded(Math.min(...each)), rounded(Math.max(...each))];
  }
  return { unit: cell.unit, isCost: cell.isCost ?? false, medians, ratios, spread };
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
