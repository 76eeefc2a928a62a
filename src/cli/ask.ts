// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { printable } from "../commands/printable";
import { quote, shellLine } from "../commands/quote";
import { isRoots } from "../commands/trust";
import { defaultStateDir } from "../commands/verbs";
import { asWords } from "../targets/become";
import type { Host, Pod } from "./host";
import { Problem } from "./problem";
import { type Bounds, runProgram } from "./run";

/** How a host is asked, for all hosts of a run. */
export interface Manner {
  /** Whether nobody can answer a question of ssh, such as that for a password. */
  readonly isBatch: boolean;
}

/** How long a login may take beside the command. */
const loginSeconds = 30;

/** Runs verbs of the host script, in a shell text that calls them by `bypass`. */
export function scriptText(host: Host, text: string, otherwise = absent): string {
  const { stateDir, instance } = host;
  if (host.pod !== undefined) return podText(text);
  const flags = [
    ...(instance === undefined ? [] : ["--instance", instance]),
    ...(stateDir === defaultStateDir ? [] : ["--state-dir", stateDir]),
  ];
  const folder = instance === undefined ? `${quote(stateDir)}/*` : quote(`${stateDir}/${instance}`);
  return [
    `[ "$(id -u)" = 0 ] || { echo "socket-bypass: expected to run as root, found another user; give become" >&2; exit 1; }`,
    "f=",
    `for s in ${folder}/socket-bypass; do [ ! -f "$s" ] || f=$s; done`,
    `s=$f d=${quote(stateDir)}`,
    `[ -n "$s" ] || { ${otherwise}; }`,
    `${isRoots("$s")} || exit 1`,
    `bypass() { sh "$s" "$@" ${shellLine(flags)}; }`,
    text,
  ].join("; ");
}

/** A node that its pod leaves alone says why. The pod knows its instance. */
function podText(text: string): string {
  return [
    'bypass() { sh /opt/socket-bypass/pod.sh "$@"; }',
    `case $(bypass health) in "not supported"*) bypass health | sed "s/^/socket-bypass: /" >&2; exit 1 ;; esac`,
    text,
  ].join("; ");
}

const absent = `echo "socket-bypass: $d: expected an installation, found none" >&2; exit 1`;

/**
 * Runs a text of a shell on a host, as root, and gives what it prints. Its errors say in one line
 * what the host does.
 */
export async function ask(
  host: Host,
  manner: Manner,
  text: string,
  { seconds, largest, onData, signal, input }: Partial<Bounds> & Pick<Bounds, "seconds" | "largest">,
): Promise<string> {
  if (host.fault !== undefined) throw new Problem(host.fault);
  // A login shell may print something of its own first.
  const mark = `answer ${randomBytes(9).toString("hex")}`;
  const isWatched = host.pod !== undefined && onData !== undefined;
  const marked = `${isWatched ? untilWeLeave : ""}echo ${quote(mark)}; ${text}`;
  const bounded = ["timeout", "-k", "10", `${seconds}`, "sh", "-c", marked];
  const [program = "", ...rest] = wayTo(host, manner, [...asWords(host.become), ...bounded]);
  let isOpen = false;
  let before = "";
  const pass =
    onData &&
    ((chunk: Buffer) => {
      if (isOpen) return onData(chunk);
      before = `${before}${chunk}`.slice(-65536);
      const at = before.indexOf(`${mark}\n`);
      if (at < 0) return;
      isOpen = true;
      onData(Buffer.from(before.slice(at + mark.length + 1)));
    });
  const answer = await runProgram(program, rest, {
    seconds: seconds + loginSeconds,
    largest,
    missing: `${program}: expected this program on PATH, found none`,
    ...(pass && { onData: pass, keepsStdin: isWatched }),
    ...(signal && { signal }),
    ...(input && { input }),
  });
  if (answer.code !== 0) throw new Problem(reasonIn(answer.stderr) ?? `ends the command with ${answer.code}`);
  if (onData !== undefined) return "";
  const at = answer.stdout.indexOf(`${mark}\n`);
  if (at < 0)
    throw new Problem(
      "runs another command than it is told; remove what forces one there: ForceCommand of sshd, or command= in authorized_keys",
    );
  return answer.stdout.slice(at + mark.length + 1);
}

/**
 * What `kubectl exec` has started goes on when kubectl ends, and writes to nobody. All that it sees
 * of our end is that of its stdin.
 */
const untilWeLeave = "exec 3<&0; { cat <&3; kill 0; } >/dev/null 2>&1 & exec 3<&- </dev/null; ";

/** The command line here that runs a command there. */
function wayTo({ ssh, pod }: Host, manner: Manner, words: readonly string[]): readonly string[] {
  if (pod !== undefined) return ["kubectl", ...kubectlWords(pod), "exec", pod.name, "-ic", "loader", "--", ...words];
  return ssh === undefined ? words : ["ssh", ...sshWords(manner), ...ssh, shellLine(words)];
}

/** What stands first, so that a plugin of kubectl never sees what follows. */
export function kubectlWords({ context, namespace }: Omit<Pod, "name">): string[] {
  return [...(context === undefined ? [] : [`--context=${context}`]), `--namespace=${namespace}`];
}

function sshWords({ isBatch }: Manner): string[] {
  // Otherwise a host that vanishes, or a firewall that forgets us, would look like a quiet one.
  const alive = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"];
  return ["-T", "-o", `ConnectTimeout=${loginSeconds - 10}`, ...alive, ...(isBatch ? ["-o", "BatchMode=yes"] : [])];
}

/** The last line that is ours, or else the last line of all. */
function reasonIn(said: string): string | undefined {
  const lines = said.split(/\r?\n/).filter((line) => line.trim() !== "");
  const ours = lines.filter((line) => line.startsWith("socket-bypass: ")).at(-1);
  const last = ours?.replace("socket-bypass: ", "") ?? lines.at(-1);
  return last === undefined ? undefined : printable(last.trim());
}

/** What each host said: a value, or the reason why there is none. */
export type Told<T> = { readonly host: Host; readonly value: T } | { readonly host: Host; readonly error: string };

/** Asks all hosts, so many at once, and gives their answers in their order. */
export async function askAll<T>(
  hosts: readonly Host[],
  parallel: number,
  work: (host: Host) => Promise<T>,
): Promise<Told<T>[]> {
  const told: Told<T>[] = [];
  const waiting = hosts.map((host, at) => ({ host, at }));
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { host, at } = next;
      told[at] = await work(host).then(
        (value) => ({ host, value }),
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          return { host, error: error.message };
        },
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, hosts.length) }, worker));
  return told;
}
