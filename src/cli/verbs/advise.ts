// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../bundle/package-root";
import { type AdviceAnswer, adviceAnswer } from "../../commands/advice-answer";
import { printable } from "../../commands/printable";
import { readAnswer } from "../answers";
import { ask, type Manner, scriptText } from "../ask";
import { type Context, failures } from "../context";
import type { Host } from "../host";
import { Problem } from "../problem";
import { short, table } from "../table";

const largest = 16 * 1024 * 1024;
const usualSeconds = 30;

/** What would gain on each host. One where nothing is installed is sent the files for the time. */
export async function advise(context: Context): Promise<number> {
  const { seconds = usualSeconds } = context.given;
  const told = await context.askAll((host) => adviseOn(host, context.manner, seconds));
  return context.tell(
    told,
    (value) => value,
    () => {
      const parts = told.flatMap((one) => ("error" in one ? [] : [describe(one.host.name, one.value)]));
      return [...parts, ...failures(told)].join("\n\n");
    },
  );
}

async function adviseOn(host: Host, manner: Manner, seconds: number): Promise<AdviceAnswer> {
  const line = `advise --json --seconds ${seconds}`;
  const bounds = { seconds: seconds + 60, largest };
  const text = scriptText(host, `bypass ${line}`, 'echo "absent $(uname -m)"; exit 0');
  const said = await ask(host, manner, text, bounds);
  const machine = /^absent ([\w.-]{1,32})\s*$/.exec(said)?.[1];
  if (machine === undefined) return readAnswer(adviceAnswer, said);
  return readAnswer(adviceAnswer, await ask(host, manner, visiting(line), { ...bounds, input: filesFor(machine) }));
}

/**
 * Unpacks the files from stdin, runs the script among them and removes them. /run may not be
 * executable, and root runs nothing from a folder that others may write to.
 */
function visiting(line: string): string {
  return [
    "umask 077",
    "d=$(mktemp -d /var/lib/socket-bypass-visit-XXXXXX) || exit 1",
    `trap 'rm -rf "$d"' EXIT`,
    "trap 'exit 143' HUP INT TERM",
    'gzip -dc | tar -xof - -C "$d" || exit 1',
    `sh "$d/socket-bypass" ${line} </dev/null`,
  ].join("; ");
}

function filesFor(machine: string): Buffer {
  const name = `prebuilt-${machine.replace("arm64", "aarch64")}.tar.gz`;
  const file = path.join(packageRoot(), "dist", "host", name);
  if (!/^prebuilt-(x86_64|aarch64)\./.test(name))
    throw new Problem(`expected a machine of type x86_64 or aarch64, found ${printable(machine)}`);
  return fs.readFileSync(file);
}

function describe(name: string, answer: AdviceAnswer): string {
  const rows = answer.services.map((one) => [
    `${one.port}`,
    one.program,
    one.clients.join(", ") || "remote",
    `${one.onHost}/${one.connections}`,
    short(one.perSecond.inbound + one.perSecond.outbound),
    `${short(one.bytesPerMessage.inbound)}/${short(one.bytesPerMessage.outbound)}`,
    one.kind,
    one.gain === null ? "-" : `${one.gain.low.toFixed(1)}-${one.gain.high.toFixed(1)}`,
    one.advice,
    one.reason,
  ]);
  const headings = [
    "PORT",
    "PROGRAM",
    "CLIENTS",
    ">ON HOST",
    ">MSG/S",
    ">B IN/OUT",
    "KIND",
    ">GAIN",
    "ADVICE",
    "REASON",
  ];
  const { ports } = answer.traffic;
  return [
    `# ${name} (Linux ${answer.kernel}, ${answer.seconds} s, gain from ${answer.gainFrom === "bench" ? "its own bench" : "the table"})`,
    rows.length > 0 ? table(headings, rows) : "no service talks by TCP",
    ports.length > 0 ? `traffic: ${JSON.stringify({ ports })}` : "nothing here would gain",
    ...(answer.unseen === null ? [] : [answer.unseen]),
  ].join("\n");
}
