// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";
import { misused } from "./problem";

/** What each verb does, and the flags that it takes beside those that name hosts. */
export const verbs = {
  status: { help: "what serves on each host, whether it is healthy, and how much it redirects", flags: [] },
  flows: { help: "each enrolled connection of each host", flags: [] },
  metrics: { help: "the counters of all hosts as OpenMetrics, with a label host", flags: [] },
  advise: { help: "which services of each host would gain; loads nothing into the datapath", flags: ["seconds"] },
  top: { help: "live rates of all hosts; q quits", flags: ["seconds", "interval", "count"] },
  record: { help: "writes what advise, the counters and the processors' clocks say", flags: ["seconds", "file"] },
  report: { help: "puts recordings side by side as Markdown and SVG", flags: ["before", "after", "output"] },
} as const;
export type Verb = keyof typeof verbs;

const flags = {
  ssh: { type: "string", multiple: true, value: "USER@HOST", help: "a host as ssh takes it; may be repeated" },
  stack: { type: "string", value: "NAME", help: "all hosts and nodes of a Pulumi stack" },
  "stack-output": { type: "string", value: "NAME", help: "the output that has its logins (socketBypass)" },
  cwd: { type: "string", value: "DIR", help: "the folder of the Pulumi project" },
  become: { type: "string", value: "COMMAND", help: 'with --ssh: becomes root without asking, as in "sudo -n"' },
  instance: { type: "string", value: "NAME", help: "one instance instead of all" },
  pool: { type: "string", value: "NAME", help: "with --stack: the nodes of one node pool" },
  node: { type: "string", value: "NAME", help: "with --stack: one node of a node pool" },
  context: { type: "string", value: "NAME", help: "with --stack: the context of kubectl for node pools" },
  "state-dir": { type: "string", value: "DIR", help: "with --ssh (/var/lib/socket-bypass)" },
  parallel: { type: "string", value: "N", help: "how many hosts are asked at once (16)" },
  json: { type: "boolean", help: "prints JSON" },
  seconds: {
    type: "string",
    value: "N",
    help: "advise (30), record (60): how long they look; top: ends after so long",
  },
  interval: { type: "string", value: "N", help: "top: seconds between two looks (2)" },
  count: { type: "string", value: "N", help: "top: ends after so many intervals" },
  file: { type: "string", short: "o", value: "FILE", help: "record: where it writes" },
  before: { type: "string", multiple: true, value: "FILE", help: "report: a recording; may be repeated" },
  after: { type: "string", multiple: true, value: "FILE", help: "report: a recording; may be repeated" },
  output: { type: "string", value: "DIR", help: "report: the folder that it writes (.)" },
} as const;
type Flag = keyof typeof flags;
const ofStacks = ["stack-output", "cwd", "pool", "node", "context"] as const satisfies readonly Flag[];
const ofHosts: readonly Flag[] = ["ssh", "stack", ...ofStacks, "become", "instance", "state-dir", "parallel"];

export interface Arguments {
  readonly verb: Verb;
  readonly ssh: readonly string[];
  readonly stack: string | undefined;
  readonly stackOutput: string;
  readonly cwd: string | undefined;
  readonly become: string | undefined;
  readonly instance: string | undefined;
  readonly stateDir: string | undefined;
  readonly pool: string | undefined;
  readonly node: string | undefined;
  readonly context: string | undefined;
  readonly parallel: number;
  readonly isJson: boolean;
  readonly seconds: number | undefined;
  readonly interval: number;
  readonly count: number | undefined;
  readonly file: string | undefined;
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly output: string;
}

/** Reads a command line, which may ask for the help or the version of this program instead. */
export function readArguments(words: readonly string[]): Arguments | "help" | "version" {
  const [verb = "help", ...rest] = words;
  if (["help", "--help", "-h"].includes(verb) || rest.includes("--help")) return "help";
  if (["version", "--version"].includes(verb) && rest.length === 0) return "version";
  if (!isVerb(verb)) throw misused(`expected a verb (${Object.keys(verbs).join(", ")}), found ${show(verb)}`);
  const { values } = parse(rest);
  const own: readonly string[] = verbs[verb].flags;
  const taken = (flag: string) => own.includes(flag) || (verb !== "report" && [...ofHosts, "json"].includes(flag));
  for (const flag of Object.keys(values)) if (!taken(flag)) throw misused(`${verb}: expected no --${flag}`);
  const number = (flag: "parallel" | "seconds" | "interval" | "count", least: number, most: number) => {
    const given = values[flag];
    if (given === undefined) return undefined;
    const is = /^\d{1,9}$/.test(given) && Number(given) >= least && Number(given) <= most;
    if (!is) throw misused(`--${flag}: expected ${least} to ${most}, found ${show(given)}`);
    return Number(given);
  };
  const all: Arguments = {
    verb,
    ssh: values.ssh ?? [],
    stack: values.stack,
    stackOutput: values["stack-output"] ?? "socketBypass",
    cwd: values.cwd,
    become: values.become,
    instance: values.instance,
    stateDir: values["state-dir"],
    pool: values.pool,
    node: values.node,
    context: values.context,
    parallel: number("parallel", 1, 256) ?? 16,
    isJson: values.json ?? false,
    seconds: number("seconds", 1, verb === "top" ? 86400 : 3600),
    interval: number("interval", 1, 86400) ?? 2,
    count: number("count", 1, 86400),
    file: values.file,
    before: values.before ?? [],
    after: values.after ?? [],
    output: values.output ?? ".",
  };
  requireAll(all);
  return all;
}

function isVerb(word: string): word is Verb {
  return Object.hasOwn(verbs, word);
}

function parse(rest: readonly string[]) {
  try {
    return parseArgs({ args: [...rest], options: flags, strict: true, allowPositionals: false });
  } catch (error) {
    throw misused(error instanceof Error ? (error.message.split(". ")[0] ?? "") : `${error}`);
  }
}

function requireAll(given: Arguments): void {
  const { verb, ssh, stack, file, before, after } = given;
  if (verb === "report") {
    if (before.length === 0 || after.length === 0) throw misused("report: expected --before and --after");
    return;
  }
  if (ssh.length === 0 && stack === undefined) throw misused(`${verb}: expected --ssh USER@HOST or --stack NAME`);
  if (ssh.length > 0 && stack !== undefined) throw misused(`${verb}: expected --ssh or --stack, found both`);
  const unused = (["pool", "node", "context"] as const).find((flag) => given[flag] !== undefined);
  if (ssh.length > 0 && unused !== undefined) throw misused(`--${unused}: expected --stack, found --ssh`);
  if (verb === "record" && file === undefined) throw misused("record: expected -o FILE");
}

function show(word: string): string {
  return JSON.stringify(word.slice(0, 80));
}

/** The text of `help`, made from the tables above. */
export function helpText(): string {
  const row = (left: string, right: string) => `  ${left.padEnd(26)}${right}`;
  const flagRows = Object.entries(flags).map(([name, one]) => {
    const short = "short" in one ? `-${one.short}, ` : "";
    return row(`${short}--${name}${"value" in one ? ` ${one.value}` : ""}`, one.help);
  });
  return [
    "socket-bypass: looks at hosts and nodes from the machine of their operator, by ssh and kubectl.",
    "",
    "usage: npx socket-bypass VERB (--ssh USER@HOST... | --stack NAME) [FLAG]...",
    "",
    ...Object.entries(verbs).map(([name, { help }]) => row(name, help)),
    row("version", "the version of this package; that of a host: socket-bypass version on it"),
    "",
    ...flagRows,
    "",
    "Exit 1 if a host did not answer, 2 for wrong usage.",
  ].join("\n");
}
