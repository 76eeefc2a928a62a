// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { z } from "zod";
import { adviceAnswer } from "../commands/advice-answer";
import { Problem } from "./problem";

const seconds = z.number().min(0).max(1e12);

/** What a host said of itself at one moment. */
const moment = z.object({
  /** Seconds since its boot. */
  up: seconds,
  /** Seconds that the processes of this name have run so far. */
  cpu: z.record(z.string().max(64), seconds),
  /** The counters of all instances and generations together. */
  counters: z.record(z.string().max(64), z.number().min(0)),
});
export type Moment = z.infer<typeof moment>;

export const hostRecording = z.object({ begin: moment, end: moment, advise: adviceAnswer });
export type HostRecording = z.infer<typeof hostRecording>;

export const recording = z.object({
  version: z.literal(1),
  /** When it began, in UTC. */
  time: z.iso.datetime(),
  hosts: z.record(z.string().max(300), z.union([hostRecording, z.object({ error: z.string().max(8192) })])),
});
export type Recording = z.infer<typeof recording>;

const largest = 64 * 1024 * 1024;

export function readRecording(file: string): Recording {
  let text: string;
  try {
    if (fs.statSync(file).size > largest) throw new Problem(`${file}: expected at most ${largest} bytes, found more`);
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`${file}: expected a recording, found none: ${error instanceof Error ? error.message : error}`);
  }
  const { data, error } = recording.safeParse(parsed(text));
  if (data !== undefined) return data;
  const at = error?.issues[0]?.path.join(".") || "the top";
  throw new Problem(`${file}: expected a file that record wrote, found something else at ${at}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
