// SPDX-License-Identifier: Apache-2.0
// What `advise` expects of real programs, and what the bypass then brings them, as root:
// `npm run bench:advise -- [--rounds N] [--ms N] [--only TEXT] [--write]`
//
//   --rounds N, --ms N   rounds (5), and length of a run (600; loads that count seconds take one)
//   --only TEXT          measures only services whose name contains the text
//   --write              keep the result in docs/explanation/benchmarks/
//
// The last line of stdout is the JSON object that --write keeps.
// docs/explanation/benchmarks/advise.md tells how it is measured.
import { execFile, execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { tools } from "../loopback/probe";
import { closeWays, counter, openWays } from "../loopback/ways";
import { measure, type Result } from "../report/cell";
import { describeMachine, version } from "../report/machine";
import { shareOfOthers, takeTimes } from "./others";
import { type Measured, type Report, writeAdvise } from "./page";
import { closePrograms, folder, openPrograms, outcomeOf, portOf, rateOf, whileBusy } from "./programs";
import { type Service, services } from "./services";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    ms: { type: "string", default: "600" },
    only: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const [rounds, ms] = [Number(values.rounds), Number(values.ms)];
/** Servers run on CPU 0. */
const cpus = { "one CPU": "0", "two CPUs": "1" };

/** A service in the answer of `advise`, as far as it is used here. */
interface Advised {
  readonly port: number;
  readonly program: string;
  readonly clients: string[];
  readonly kind: string;
  readonly bytesPerMessage: { readonly inbound: number; readonly outbound: number };
  readonly dangers: { readonly kind: string }[];
  readonly gain: { readonly low: number; readonly high: number } | null;
  readonly advice: string;
}

async function main(): Promise<void> {
  if (!(rounds >= 1 && ms >= 100))
    throw new Error(
      `bench: expected --rounds of at least 1 and --ms of at least 100, found ${values.rounds}, ${values.ms}`,
    );
  if (os.cpus().length < 2) throw new Error("bench: expected two CPUs or more, found one");
  const found: Measured[] = [];
  let others = 0;
  try {
    openWays();
    const own = benchHere();
    await openPrograms();
    say("asking advise");
    const [advice, adviceHere] = await whileBusy(async () => [await adviseOnAll(), await adviseOnAll("--bench", own)]);
    const before = takeTimes();
    for (const service of services) {
      const said = adviceOn(service, advice);
      const expectedHere = adviceOn(service, adviceHere).gain;
      const isMeasured = service.name.includes(values.only);
      found.push({
        ...{ service: service.name, title: service.title, port: said.port, program: said.program },
        ...{ clients: said.clients, kind: said.kind, bytesPerMessage: said.bytesPerMessage, advice: said.advice },
        ...{ dangers: [...new Set(said.dangers.map(({ kind }) => kind))] },
        ...{ expected: said.gain, expectedHere },
        ...(isMeasured ? await look(service) : {}),
      });
    }
    others = shareOfOthers(before);
  } finally {
    await closePrograms();
    closeWays();
  }
  const versions = { ...describeMachine().versions, ...otherVersions() };
  const report: Report = { machine: { ...describeMachine(), versions, rounds, ms }, others, services: found };
  if (values.write) writeAdvise(report);
  console.log(JSON.stringify(report));
}

/** What this host's own bench says, as a file. */
function benchHere(): string {
  say("running the host's own bench");
  fs.mkdirSync(folder);
  const file = join(folder, "bench.json");
  const words = [join(tools, "socket-bypass"), "bench", "--json"];
  fs.writeFileSync(file, execFileSync("sh", words, { stdio: ["ignore", "pipe", "inherit"] }));
  return file;
}

/** Asks again if a load has not begun yet, which takes some of them seconds. */
async function adviseOnAll(...flags: string[]): Promise<Advised[]> {
  for (let tries = 1; ; tries++) {
    const advice = await advise(...flags);
    const quiet = services.find((service) => !service.isLoadElsewhere && adviceOn(service, advice).kind === "idle");
    if (quiet === undefined) return advice;
    if (tries === 3) throw new Error(`bench: ${quiet.title}: expected advise to see its load, found it idle`);
  }
}

async function advise(...flags: string[]): Promise<Advised[]> {
  const words = [join(tools, "socket-bypass"), "advise", "--json", "--seconds", "5", ...flags];
  const { stdout } = await promisify(execFile)("sh", words, { maxBuffer: 1 << 26 });
  return (JSON.parse(stdout) as { services: Advised[] }).services;
}

function adviceOn({ name, title }: Service, advice: readonly Advised[]): Advised {
  const port = portOf("tcp", name);
  const [said, ...more] = advice.filter((one) => one.port === port);
  if (said === undefined || more.length > 0)
    throw new Error(
      `bench: ${title}: expected one line of advise on port ${port}, found ${more.length + (said ? 1 : 0)}`,
    );
  return said;
}

async function look(service: Service): Promise<Pick<Measured, "measured" | "bypassed">> {
  if (service.load === undefined) return {};
  if (service.isHarmed) {
    const plain = outcomeOf(service, "tcp");
    if (plain !== "works") throw new Error(`bench: ${service.title}: expected it to work over TCP, found: ${plain}`);
    return { bypassed: outcomeOf(service, "bypass") };
  }
  const measured: Record<string, Result> = {};
  for (const [name, cpu] of Object.entries(cpus)) {
    const before = counter("redirected_messages");
    const run = { name, unit: service.unit ?? "", ways: ["tcp", "bypass", "tcpAgain"] as const };
    const result = await measure({ ...run, run: (way) => rateOf(service, way, cpu, ms) }, rounds);
    const redirected = counter("redirected_messages") - before;
    // Otherwise both ways would have been plain TCP, or neither.
    if (redirected > 0 === (service.isLoadElsewhere ?? false))
      throw new Error(
        `bench: ${service.title}: expected messages to be redirected where it is not elsewhere, found ${redirected}`,
      );
    measured[name] = result;
    say(
      `${service.name.padEnd(12)}${name.padEnd(10)}${result.ratios.bypass?.toFixed(2)}  ${result.ratios.tcpAgain?.toFixed(2)}`,
    );
  }
  return { measured };
}

function otherVersions(): Record<string, string> {
  return {
    memcached: version("memcached", "-V"),
    node: process.versions.node,
    iperf3: version("iperf3", "--version"),
    haproxy: version("haproxy", "-v"),
    go: version("go", "version"),
  };
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : `${error}`);
  process.exitCode = 1;
});
