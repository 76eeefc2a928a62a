// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../../bundle/package-root";
import { type AdviceAnswer, adviceAnswer, largestAdvice } from "../../commands/advice-answer";
import { printable } from "../../commands/printable";
import { describeAdvice } from "../advice-table";
import { readAnswer } from "../answers";
import { ask, type Manner, scriptText } from "../ask";
import { type Context, failures } from "../context";
import type { Host } from "../host";
import { Problem } from "../problem";

const usualSeconds = 30;

/** What would gain on each host. One where nothing is installed is sent the files for the time. */
export async function advise(context: Context): Promise<number> {
  const { seconds = usualSeconds } = context.given;
  const told = await context.askAll((host) => adviseOn(host, context.manner, seconds));
  return context.tell(
    told,
    (value) => value,
    () => {
      const parts = told.flatMap((one) => ("error" in one ? [] : [describeAdvice(one.host.name, one.value)]));
      return [...parts, ...failures(told)].join("\n\n");
    },
  );
}

async function adviseOn(host: Host, manner: Manner, seconds: number): Promise<AdviceAnswer> {
  const line = `advise --json --seconds ${seconds}`;
  const bounds = { seconds: seconds + 60, largest: largestAdvice };
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
