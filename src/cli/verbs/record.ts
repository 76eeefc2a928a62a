// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { printable } from "../../commands/printable";
import { adviseAnswer, readAnswer } from "../answers";
import { ask, scriptText } from "../ask";
import { type Context, failures } from "../context";
import { readMetrics } from "../open-metrics";
import { Problem } from "../problem";
import type { HostRecording, Moment, Recording } from "../recording";

const largest = 64 * 1024 * 1024;
const usualSeconds = 60;

/**
 * Writes a file with what each host says before and after its `advise`: the counters, and how long
 * the processes of each name have run.
 */
export async function record(context: Context): Promise<number> {
  const { seconds = usualSeconds, file = "" } = context.given;
  const time = new Date().toISOString();
  const told = await context.askAll(async (host) => {
    const text = scriptText(host, look(seconds));
    return readLooks(await ask(host, context.manner, text, { seconds: seconds + 120, largest }));
  });
  const hosts = told.map((one) => [one.host.name, "error" in one ? { error: one.error } : one.value]);
  const all: Recording = { version: 1, time, hosts: Object.fromEntries(hosts) };
  try {
    fs.writeFileSync(file, `${JSON.stringify(all, undefined, 1)}\n`);
  } catch (error) {
    throw new Problem(`-o ${file}: ${error instanceof Error ? error.message : error}`);
  }
  return context.tell(
    told,
    (value) => value,
    () => [file, ...failures(told)].join("\n"),
  );
}

/** Processes may end meanwhile. The clocks are read next to the look of `advise`. */
function look(seconds: number): string {
  const clocks = 'clocks() { echo "# clocks"; getconf CLK_TCK; cat /proc/uptime; cat /proc/[0-9]*/stat 2>/dev/null; }';
  return [
    ...[clocks, "bypass metrics || exit 1", "clocks", 'echo "# advise"'],
    ...[`bypass advise --json --seconds ${seconds} || exit 1`, "clocks", 'echo "# metrics"', "bypass metrics"],
  ].join("; ");
}

export function readLooks(said: string): HostRecording {
  const parts = /^([\s\S]*?\n)# clocks\n([\s\S]*?)# advise\n([\s\S]*?)# clocks\n([\s\S]*?)# metrics\n([\s\S]*)$/.exec(
    said,
  );
  if (parts === null) throw new Problem("answers with something else than its counters and clocks");
  const [, before = "", begin = "", advise = "", end = "", after = ""] = parts;
  return {
    begin: { ...readClocks(begin), counters: sums(before) },
    end: { ...readClocks(end), counters: sums(after) },
    advise: readAnswer(adviseAnswer, advise),
  };
}

function sums(text: string): Moment["counters"] {
  const all: Record<string, number> = {};
  for (const { samples } of readMetrics(text).values())
    for (const { name, labels, value } of samples) {
      const key = labels.ports === undefined ? name : `${name} ${labels.ports} ${labels.path ?? ""}`.trim();
      if (name.endsWith("_total") && key.length <= 64) all[key] = (all[key] ?? 0) + value;
    }
  return all;
}

/** The clock ticks a second, the uptime, and lines of /proc/PID/stat: "PID (NAME) STATE ...". */
function readClocks(text: string): Omit<Moment, "counters"> {
  const [ticks = "", uptime = "", ...lines] = text.split("\n");
  const [up, rate] = [Number(uptime.split(" ")[0]), Number(ticks)];
  if (!(up > 0) || !(rate > 0)) throw new Problem("answers with no clock");
  const cpu: Record<string, number> = {};
  for (const line of lines) {
    // A process chooses its name, which may hold parentheses and blanks.
    const [, name = "", rest = ""] = /^\d+ \((.{0,32})\) ([A-Za-z] [-\d ]+)$/s.exec(line) ?? [];
    const fields = rest.split(" ");
    const used = (Number(fields[11]) + Number(fields[12])) / rate;
    const key = nameOf(name);
    if (name !== "" && used >= 0) cpu[key] = (cpu[key] ?? 0) + used;
  }
  return { up, cpu };
}

/** As the helper of the host prints names. */
function nameOf(name: string): string {
  return printable(Buffer.from(name).toString("latin1")).replace(/[^ -~]/g, "?");
}
