// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import type { Arguments } from "../arguments";
import { type Compared, compare, costOf } from "../compare";
import { drawCosts } from "../plot";
import { Problem } from "../problem";
import { type Recording, readRecording } from "../recording";

/** Writes report.md and report.svg, for a change request. */
export function report({ before, after, output }: Arguments, print: (text: string) => void): number {
  const [first, second] = [before.map(readRecording), after.map(readRecording)];
  const compared = compare(first, second);
  if (compared.length === 0)
    throw new Problem("report: expected a service that is in --before and in --after, found none; compare their hosts");
  const files = { "report.md": page(compared, first, second), "report.svg": drawCosts(compared) };
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(output, name);
    try {
      fs.mkdirSync(output, { recursive: true });
      fs.writeFileSync(file, text);
    } catch (error) {
      throw new Problem(`--output: ${error instanceof Error ? error.message : error}`);
    }
    print(file);
  }
  return 0;
}

export function page(all: readonly Compared[], before: readonly Recording[], after: readonly Recording[]): string {
  const sorted = [...all].sort((a, b) => (b.before.rate ?? 0) - (a.before.rate ?? 0));
  const rows = sorted.map(({ host, port, program, before: was, after: is }) => {
    const [cost, now] = [costOf(was), costOf(is)];
    return [
      ...[cell(host), `${cell(program)}:${port}`],
      ...[figure(was.rate, 0), figure(is.rate, 0)],
      ...[percent(was.share), percent(is.share)],
      ...[figure(was.server), figure(is.server), figure(was.clients), figure(is.clients)],
      cost === undefined || now === undefined || cost === 0 ? "?" : `${Math.round((now / cost - 1) * 100)} %`,
    ];
  });
  const lines = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const failed = [...before, ...after].flatMap(({ time, hosts }) =>
    Object.entries(hosts).flatMap(([host, its]) =>
      "error" in its ? [`- ${cell(host)}, ${time}: ${cell(its.error)}`] : [],
    ),
  );
  return [
    "# What the bypass changed",
    "",
    `Before: ${timesOf(before)}. After: ${timesOf(after)}.`,
    ...(before.length + after.length > 2 ? ["Several recordings of a side give their median."] : []),
    "",
    lines([
      ...["host", "service", "messages/s before", "after", "bypassed before", "after"],
      ...["server µs/message before", "after", "clients µs/message before", "after", "both"],
    ]),
    lines(["---", "---", ...Array.from({ length: 9 }, () => "---:")]),
    ...rows.map(lines),
    "",
    "![Processor time for each message](report.svg)",
    "",
    "The time is that of all processes with the program's name on the host, in user and kernel mode.",
    "A program that serves several ports has the same time in each row.",
    "The bypassed share of a service that shares a range of ports with others is that of the whole range.",
    "`?` is what the recordings do not tell.",
    ...(failed.length > 0 ? ["", "Hosts that did not answer:", "", ...failed] : []),
    "",
  ].join("\n");
}

function timesOf(all: readonly Recording[]): string {
  return all.map(({ time }) => time.replace(/\.\d+Z$/, "Z")).join(", ");
}

/** Names come from hosts, and may hold what Markdown or HTML would interpret. */
function cell(text: string): string {
  return text.replace(/[\\`*_[\]<>|&#!]/g, (found) => `&#${found.charCodeAt(0)};`);
}

function figure(value: number | undefined, digits = 2): string {
  return value === undefined ? "?" : value.toFixed(digits);
}

function percent(share: number | undefined): string {
  return share === undefined ? "?" : `${(share * 100).toFixed(1)} %`;
}
