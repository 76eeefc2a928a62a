// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from "node:events";
import { readAnswer, type TopFrame, topFrame } from "../answers";
import { ask, askAll, type Manner, scriptText } from "../ask";
import type { Context } from "../context";
import type { Host } from "../host";
import { Problem } from "../problem";
import { Screen } from "../screen";
import { short, table } from "../table";

/** A frame has at most twenty ports and directions. */
const largestLine = 256 * 1024;

/** Milliseconds in which a login succeeds or has failed. */
const longestLogin = 30_000;

/** What was last heard of a host. */
interface Heard {
  frame?: TopFrame;
  /** When the frame came, in milliseconds. */
  at?: number;
  error?: string;
}

/**
 * Each host runs its own `top` and sends a line for each interval. We show what they said last, as
 * often as that, until q, --count or --seconds, or until no host is left.
 */
export async function top(context: Context): Promise<number> {
  const { interval, count, seconds } = context.given;
  const heard = new Map<Host, Heard>(context.hosts.map((host) => [host, {}]));
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const screen = context.given.isJson ? undefined : Screen.open(() => stop.abort());
  // A raw terminal shows no question of ssh, and our keys would answer it.
  const manner: Manner = screen === undefined ? context.manner : { isBatch: true };
  const following: Promise<void>[] = [];
  const logIn = (host: Host) =>
    new Promise<void>((done) => {
      if (stop.signal.aborted) return done();
      // A host that keeps a login open without an answer holds up the others only so long.
      setTimeout(done, longestLogin).unref();
      following.push(follow(host, context, manner, stop.signal, heard, done).finally(done));
    });
  // So many log in at once; who is in stays.
  const followed = askAll(context.hosts, context.given.parallel, logIn).then(() => Promise.all(following));
  let shown = 0;
  const draw = () => {
    const isFirst = shown === 0 && [...heard.values()].every(({ frame, error }) => !frame && !error);
    if (isFirst && screen === undefined) return;
    const now = withoutSilent(heard, interval);
    if (context.given.isJson) context.print(JSON.stringify({ hosts: [...now].map(jsonOf) }));
    else if (screen !== undefined) screen.draw(frameOf(now, screen.columns, screen.rows, interval).split("\n"));
    else context.print(`${frameOf(now, 1000, 60)}\n`);
    if (!isFirst && ++shown === count) stop.abort();
  };
  const timer = setInterval(draw, interval * 1000);
  const late = seconds === undefined ? undefined : setTimeout(() => stop.abort(), seconds * 1000);
  const stopped = new Promise<void>((done) => stop.signal.addEventListener("abort", () => done()));
  try {
    await Promise.race([stopped, followed]);
    // All hosts have failed, and no block has told why.
    if (!stop.signal.aborted && screen === undefined) draw();
  } finally {
    clearInterval(timer);
    clearTimeout(late);
    stop.abort();
    screen?.close();
  }
  await followed;
  const failed = [...heard].filter(([, { error }]) => error !== undefined);
  if (screen !== undefined) for (const [host, { error }] of failed) console.error(`${host.name}: ${error}`);
  return failed.length > 0 ? 1 : 0;
}

/** Hears what a host says until its end. `isIn` is called once its login has succeeded. */
async function follow(
  host: Host,
  context: Context,
  manner: Manner,
  signal: AbortSignal,
  heard: Map<Host, Heard>,
  isIn: () => void,
): Promise<void> {
  let rest = "";
  const stop = new AbortController();
  let broken: string | undefined;
  const take = (chunk: Buffer) => {
    isIn();
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    try {
      if (rest.length > largestLine) throw new Problem(`prints a line of more than ${largestLine} bytes`);
      for (const line of lines) heard.set(host, { frame: readAnswer(topFrame, line), at: performance.now() });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      broken ??= error.message;
      stop.abort();
    }
  };
  try {
    const text = scriptText(host, `bypass top --json --interval ${context.given.interval}`);
    signal.addEventListener("abort", () => stop.abort());
    const { signal: either } = stop;
    await ask(host, manner, text, { seconds: 86_400, largest: 0, onData: take, signal: either });
    if (!signal.aborted) heard.set(host, { error: "ended its top" });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (broken !== undefined || !signal.aborted) heard.set(host, { error: broken ?? error.message });
  }
}

/** What was heard, without the frames of hosts that sent none for three intervals and a look. */
function withoutSilent(heard: ReadonlyMap<Host, Heard>, interval: number): Map<Host, Heard> {
  const now = performance.now();
  return new Map(
    [...heard].map(([host, one]) => {
      const silent = (now - (one.at ?? now)) / 1000;
      const isSilent = one.frame !== undefined && silent > 3 * interval + one.frame.lookSeconds;
      return [host, isSilent ? { error: `no look for ${Math.floor(silent)} s` } : one];
    }),
  );
}

function jsonOf([host, { frame, error }]: [Host, Heard]) {
  return { host: host.name, ...(error === undefined ? { answer: frame ?? null } : { error }) };
}

/** Tables of the hosts, of the busiest ports of all, and for a single host of its directions. */
export function frameOf(heard: ReadonlyMap<Host, Heard>, columns: number, rows: number, interval?: number): string {
  const hosts = [...heard].map(([{ name }, { frame, error }]) => {
    if (error !== undefined) return [name, "-", "-", "-", "-", "-", "-", "-", error];
    if (frame === undefined) return [name, "-", "-", "-", "-", "-", "-", "-", "no look yet"];
    const isOff = frame.generations.some(({ draining }) => draining);
    const note = frame.generations.length === 0 ? "nothing serves" : isOff ? "drained" : "";
    const slow = interval !== undefined && frame.lookSeconds > interval ? `a look takes ${frame.lookSeconds} s` : "";
    return [
      ...[
        name,
        `${frame.connections}`,
        short(frame.newConnections),
        short(frame.bypass.messages),
        short(frame.bypass.bytes),
      ],
      ...[short(frame.tcp.messages), short(frame.tcp.bytes), short(frame.unread)],
      [frame.spliceGuard === "none" ? "no splice guard" : "", note, slow].filter(Boolean).join(", ") || "-",
    ];
  });
  const busiest = [...heard].flatMap(([{ name }, { frame }]) => (frame?.ports ?? []).map((port) => ({ name, port })));
  busiest.sort((a, b) => total(b.port) - total(a.port) || b.port.connections - a.port.connections);
  const ports = busiest.map(({ name, port }) => [
    ...[name, `${port.port}`, port.program ?? "?", `${port.connections}`],
    ...[short(port.bypass.messages), short(port.bypass.bytes), short(port.tcp.messages), short(port.tcp.bytes)],
    ...[short(port.unread), whyOf(port.why)],
  ]);
  const [only] = heard.size === 1 ? heard.values() : [];
  const directions = (only?.frame?.directions ?? []).map((one) => [
    ...[one.from, one.to, short(one.bypass.messages), short(one.bypass.bytes)],
    ...[short(one.tcp.messages), short(one.tcp.bytes), short(one.unread), one.why ?? "-"],
  ]);
  const first = interval === undefined ? "" : `, every ${interval} s, q quits`;
  const parts = [
    `socket-bypass top  ${new Date().toISOString().slice(0, 19)}Z  ${heard.size} host${heard.size === 1 ? "" : "s"}${first}`,
    ...cutTable(["HOST", ">CONNS", ">NEW/s", ...rates, "NOTE"], hosts, Math.max(4, Math.floor(rows / 2))),
    ...(ports.length > 0
      ? [
          "",
          ...cutTable(
            ["HOST", ">PORT", "PROGRAM", ">CONNS", ...rates, "WHY NOT"],
            ports,
            Math.max(4, Math.floor(rows / 3)),
          ),
        ]
      : []),
    ...(directions.length > 0 ? ["", ...cutTable(["FROM", "TO", ...rates, "WHY NOT"], directions, 22)] : []),
  ];
  return parts
    .slice(0, rows)
    .map((line) => line.slice(0, columns))
    .join("\n");
}

const rates = [">BYPASS/s", ">B/s", ">TCP/s", ">B/s", ">UNREAD"];

function total({ bypass, tcp }: Pick<TopFrame, "bypass" | "tcp">): number {
  return bypass.messages + tcp.messages;
}

function whyOf(why: Readonly<Record<string, number>>): string {
  const most = Object.entries(why).sort((a, b) => b[1] - a[1]);
  return (
    most
      .slice(0, 2)
      .map(([reason, times]) => `${reason} ${times}`)
      .join(", ") || "-"
  );
}

function cutTable(headings: readonly string[], rows: readonly (readonly string[])[], most: number): string[] {
  const lines = table(headings, rows).split("\n");
  const more = rows.length + 1 - most;
  return more > 0 ? [...lines.slice(0, most - 1), `and ${more + 1} more`] : lines;
}
