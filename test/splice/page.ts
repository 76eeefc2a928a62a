// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";
import { median } from "../../tools/bench/report/median";

/** What a client and a server saw of one run. */
export interface Outcome {
  /** `whole`, or what went wrong. */
  readonly result: string;
  /** Byte of its direction where it went wrong. */
  readonly at: number;
  /** That arrived, of both directions. */
  readonly bytes: number;
  readonly rounds_us: number;
  readonly stream_us: number;
}

/** What was measured of a program by one way of the splice guard. */
export interface Cell {
  /** Asked for; after a few that went wrong there are fewer. */
  readonly runs: number;
  /** Each way of each run. */
  readonly megabytes: number;
  /** Before them. */
  readonly rounds: number;
  readonly bypassed: readonly Outcome[];
  readonly plain: readonly Outcome[];
  /** Bytes. */
  readonly redirected: number;
  /** By the splice guard: sockets that stay on TCP, and calls that were refused. */
  readonly kept: number;
  readonly refused: number;
  /** Whether preflight names it; only where nothing protects. */
  readonly isWarned?: boolean | undefined;
  /** Of the relays. */
  readonly said: readonly string[];
}

/** A cell in the words of the table. */
export interface Finding {
  readonly size: string;
  readonly outcome: string;
  readonly time: string;
}

/** What docs/explanation/benchmarks/splicers.json keeps of a kernel. */
export interface Report {
  readonly date: string;
  readonly release: string;
  /** The way that the host script takes by itself. */
  readonly chosen: string;
  readonly ways: readonly string[];
  /** What the self-test says of splice, by way. */
  readonly selftests: Record<string, string>;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly name: string;
  readonly version?: string | undefined;
  readonly cells: Readonly<Record<string, Finding>>;
}

/** In order of the tables. */
export const ways = ["lsm", "fmod_ret", "syscall", "none"];

/**
 * With what an earlier run found on the same kernel, of the same version of a program, by ways that
 * this one has not tried.
 */
export function joinReports(former: Report | undefined, report: Report): Report {
  if (former === undefined || former.release !== report.release) return report;
  const rows = report.rows.map((row) => {
    const before = former.rows.find(({ name }) => name === row.name);
    return before?.version === row.version ? { ...row, cells: { ...before?.cells, ...row.cells } } : row;
  });
  return {
    ...report,
    ways: ways.filter((way) => report.ways.includes(way) || former.ways.includes(way)),
    selftests: { ...former.selftests, ...report.selftests },
    // One that was not given this time stays.
    rows: [...rows, ...former.rows.filter(({ name }) => !rows.some((row) => row.name === name))],
  };
}

/** As whole as by plain TCP, and on the bypass, or kept off it by the guard. */
export function isWhole({ bypassed, plain, redirected, kept }: Cell, mayEndEarly = false): boolean {
  if (bypassed.length === 0 || redirected + kept === 0) return false;
  return failures(bypassed).every((result) => (mayEndEarly || failures(plain).some(isEarlyEnd)) && isEarlyEnd(result));
}

function failures(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ result }) => result).filter((result) => result !== "whole");
}

function isEarlyEnd(result: string): boolean {
  return result.startsWith("ended early") || result.startsWith("Connection reset");
}

export function findingOf(cell: Cell): Finding {
  return { size: sizeText(cell), outcome: outcomeText(cell), time: costText(cell) };
}

/** What came of the runs, in words. */
export function outcomeText(cell: Cell): string {
  const bad = failures(cell.bypassed);
  if (bad.length === 0) return `${cell.isWarned ? "warned: " : ""}whole, ${shareText(cell)}`;
  const [count, others] = [`${bad.length} of ${cell.bypassed.length}`, failures(cell.plain)];
  const also = `; by plain TCP ${others.length === 0 ? "whole" : `${others[0]} (${others.length} of ${cell.plain.length})`}`;
  const what = [...new Set(bad), ...guardWords(cell)].join(", ");
  return cell.isWarned ? `warned: ${what} (${count})${also}` : `**${what}** (${count})${also}`;
}

/** Each byte goes over two connections. */
function shareText({ bypassed, redirected, kept, refused }: Cell): string {
  const all = 2 * bypassed.reduce((sum, { bytes }) => sum + bytes, 0);
  const share = Math.round((100 * redirected) / all);
  return [share === 0 ? "on TCP" : `${share} %`, ...guardWords({ kept, refused })].join(", ");
}

function guardWords({ kept, refused }: Pick<Cell, "kept" | "refused">): string[] {
  return [...(kept > 0 ? ["kept"] : []), ...(refused > 0 ? ["refused"] : [])];
}

/** Time by the bypass to that by plain TCP, of the rounds and of the streams. */
export function costText({ bypassed, plain }: Cell): string {
  const pairs = bypassed
    .map((one, at) => [one, plain[at]] as const)
    .filter(([one, other]) => one.result === "whole" && other?.result === "whole");
  const ratio = (of: "rounds_us" | "stream_us") => {
    const all = pairs.map(([one, other]) => one[of] / (other?.[of] ?? 1));
    return `${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`;
  };
  return pairs.length === 0 ? "" : `${ratio("rounds_us")} / ${ratio("stream_us")}`;
}

const marks = ["<!-- splicers -->", "<!-- end of splicers -->"] as const;

/** Replaces what the page has between the marks. */
export function writeSection(path: string, reports: readonly Report[]): void {
  const page = readFileSync(path, "utf8");
  const [before, rest] = page.split(marks[0]);
  const after = rest?.split(marks[1])[1];
  if (after === undefined) throw new Error(`${path}: expected ${marks.join(" and ")}, found not both`);
  writeFileSync(path, `${before}${marks[0]}\n\n${reports.map(tableText).join("\n")}\n${marks[1]}${after}`);
}

function tableText({ release, date, ways, chosen, selftests, rows }: Report): string {
  const usual = Object.fromEntries(ways.map((way) => [way, usualSize(rows.map(({ cells }) => cells[way]))]));
  const head = [
    "program",
    ...ways.flatMap((way) => (way === "none" ? [`unprotected, ${usual[way]}`] : [`\`${way}\`, ${usual[way]}`, "time"])),
  ];
  // One that was given in another run, for another kernel, has nothing here.
  const tried = rows.filter(({ cells }) => Object.keys(cells).length > 0);
  const lines = tried.map(({ name, version, cells }) => [
    version === undefined ? name : `${name} (${version})`,
    ...ways.flatMap((way) => {
      const cell = cells[way];
      const size = cell === undefined || cell.size === usual[way] ? "" : `${cell.size}: `;
      const text = cell === undefined ? "" : `${size}${cell.outcome}`;
      return way === "none" ? [text] : [text, cell?.time ?? ""];
    }),
  ]);
  const said = ways
    .filter((way) => selftests[way] !== undefined)
    .map((way) => `\`${selftests[way]}\` ${way === "none" ? "unprotected" : `with \`${way}\``}`);
  return `Linux ${release}, ${date}. It chooses \`${chosen}\` by itself.${said.length === 0 ? "" : ` The self-test reports for \`splice\`: ${said.join(", ")}.`}

${[head, head.map(() => "---"), ...lines].map((row) => `| ${row.join(" | ")} |`).join("\n")}
`;
}

function sizeText({ runs, megabytes }: Cell): string {
  return `${runs} × ${megabytes} MB`;
}

/** Of most. */
function usualSize(cells: readonly (Finding | undefined)[]): string {
  const sizes = cells.filter((cell) => cell !== undefined).map(({ size }) => size);
  const count = (size: string) => sizes.filter((one) => one === size).length;
  return sizes.reduce((most, size) => (count(size) > count(most) ? size : most), sizes[0] ?? "");
}

/** Without what Debian adds. */
export function shortVersion(version: string): string {
  return version.replace(/^\d+:/, "").replace(/[-+~].*$/, "");
}
