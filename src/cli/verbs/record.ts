// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { adviceAnswer } from "../../commands/advice-answer";
import { printable } from "../../commands/printable";
import { readAnswer } from "../answers";
import { ask, scriptText } from "../ask";
import { type Context, failures } from "../context";
import { readMetrics } from "../open-metrics";
import { Problem } from "../problem";
import { type HostRecording, hostRecording, type Moment, type Recording, recording } from "../recording";

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
    const mark = randomBytes(9).toString("hex");
    const text = scriptText(host, look(seconds, mark));
    return readLooks(await ask(host, context.manner, text, { seconds: seconds + 120, largest }), mark);
  });
  const hosts = told.map((one) => [one.host.name, "error" in one ? { error: one.error } : one.value]);
  const all: Recording = { version: 1, time, hosts: Object.fromEntries(hosts) };
  const { error } = recording.safeParse(all);
  if (error) throw new Problem(`-o ${file}: expected a recording, found something else at ${pathOf(error)}`);
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

/**
 * Processes may end meanwhile. The clocks are read next to the look of `advise`. A process chooses
 * its name, but not the mark.
 */
function look(seconds: number, mark: string): string {
  const clocks = `clocks() { echo "# clocks ${mark}"; getconf CLK_TCK; cat /proc/uptime; cat /proc/[0-9]*/stat 2>/dev/null; }`;
  return [
    ...[clocks, "bypass metrics || exit 1", "clocks", `echo "# advise ${mark}"`],
    ...[`bypass advise --json --seconds ${seconds} || exit 1`, "clocks", `echo "# metrics ${mark}"`, "bypass metrics"],
  ].join("; ");
}

export function readLooks(said: string, mark: string): HostRecording {
  const parts: string[] = [];
  let from = 0;
  for (const name of ["clocks", "advise", "clocks", "metrics"]) {
    const line = `\n# ${name} ${mark}\n`;
    const at = said.indexOf(line, from);
    if (at < 0) throw new Problem("answers with something else than its counters and clocks");
    // The newline in front of a mark also ends the part.
    parts.push(said.slice(from, at + 1));
    from = at + line.length;
  }
  const [before = "", begin = "", advise = "", end = ""] = parts;
  const { data, error } = hostRecording.safeParse({
    begin: { ...readClocks(begin), counters: sums(before) },
    end: { ...readClocks(end), counters: sums(said.slice(from)) },
    advise: readAnswer(adviceAnswer, advise),
  });
  if (data === undefined)
    throw new Problem(
      `answers with something else at ${pathOf(error)}; run pulumi up, because the version there may be another`,
    );
  return data;
}

function pathOf(error: { readonly issues: readonly { readonly path: readonly PropertyKey[] }[] }): string {
  return printable(error.issues[0]?.path.map(String).join(".") || "the top");
}

function sums(text: string): Moment["counters"] {
  const all = new Map<string, number>();
  for (const { samples } of readMetrics(text).values())
    for (const { name, labels, value } of samples) {
      const key = labels.ports === undefined ? name : `${name} ${labels.ports} ${labels.path ?? ""}`.trim();
      if (name.endsWith("_total") && key.length <= 64) all.set(key, (all.get(key) ?? 0) + value);
    }
  return Object.fromEntries(all);
}

/** The clock ticks a second, the uptime, and lines of /proc/PID/stat: "PID (NAME) STATE ...". */
function readClocks(text: string): Omit<Moment, "counters"> {
  // A name may also hold line ends.
  const [head = "", ...lines] = text.trimEnd().split(/\n(?=\d+ \()/);
  const [ticks = "", uptime = ""] = head.split("\n");
  const [up, rate] = [Number(uptime.split(" ")[0]), Number(ticks)];
  if (!(up > 0) || !(rate > 0)) throw new Problem("answers with no clock");
  const cpu = new Map<string, number>();
  for (const line of lines) {
    // A process chooses its name, which may hold parentheses and blanks.
    const [, name = "", rest = ""] = /^\d+ \((.{0,32})\) ([A-Za-z] [-\d ]+)$/s.exec(line) ?? [];
    const fields = rest.split(" ");
    const used = (Number(fields[11]) + Number(fields[12])) / rate;
    const key = nameOf(name);
    if (name !== "" && used >= 0) cpu.set(key, (cpu.get(key) ?? 0) + used);
  }
  return { up, cpu: Object.fromEntries(cpu) };
}

/** As the helper of the host prints names. */
function nameOf(name: string): string {
  return printable(Buffer.from(name).toString("latin1")).replace(/[^ -~]/g, "?");
}
