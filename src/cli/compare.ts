// SPDX-License-Identifier: Apache-2.0
import { median } from "./median";
import type { HostRecording, Recording } from "./recording";

/** What recordings say of one service of one host. */
export interface Side {
  /** Messages a second, both ways; undefined if other services are in the same counters. */
  readonly rate: number | undefined;
  /** The part of them that was redirected; undefined if the host does not count by port. */
  readonly share: number | undefined;
  /** Microseconds of processor time for each message; undefined where too few were seen. */
  readonly server: number | undefined;
  readonly clients: number | undefined;
}
export interface Compared {
  readonly host: string;
  readonly port: number;
  readonly program: string;
  readonly before: Side;
  readonly after: Side;
}

/** Below so many messages in a recording, the clock ticks of a processor say nothing. */
const fewestMessages = 1000;

/**
 * The services that are in both sides and have connections within their host. Several recordings of
 * a side give their median.
 */
export function compare(before: readonly Recording[], after: readonly Recording[]): Compared[] {
  const [first, second] = [sidesOf(before), sidesOf(after)];
  return [...first].flatMap(([key, its]) => {
    const other = second.get(key);
    const [host = "", port = "", ...program] = key.split(" ");
    if (other === undefined) return [];
    return [{ host, port: Number(port), program: program.join(" "), before: middle(its), after: middle(other) }];
  });
}

function sidesOf(all: readonly Recording[]): Map<string, Side[]> {
  const sides = new Map<string, Side[]>();
  for (const { hosts } of all)
    for (const [host, its] of Object.entries(hosts)) {
      if ("error" in its) continue;
      for (const service of its.advise.services.filter(isCounted)) {
        const key = `${host.replace(/ /g, "_")} ${service.port} ${service.program}`;
        sides.set(key, [...(sides.get(key) ?? []), sideOf(its, service)]);
      }
    }
  return sides;
}

type Service = HostRecording["advise"]["services"][number];

function sideOf({ begin, end, advise }: HostRecording, service: Service): Side {
  const seconds = end.up - begin.up;
  const label = labelFor(service.port, end.counters);
  const grown = (path: string) => {
    const name = counterOf(label ?? "", path);
    const [last, first = 0] = [valueAt(end.counters, name), valueAt(begin.counters, name)];
    // A new generation begins at 0.
    return last === undefined ? undefined : last >= first ? last - first : last;
  };
  const [bypass, tcp] = [grown("bypass"), grown("tcp")];
  const within = advise.services.filter((one) => one === service || (isCounted(one) && isWithin(one.port, label)));
  // Segments, by which `advise` counts, are all that tells of connections that are not enrolled. A
  // redirected message has none.
  const segments = within.reduce((sum, { perSecond }) => sum + (perSecond.inbound + perSecond.outbound) * seconds, 0);
  const all = (bypass ?? 0) + Math.max(tcp ?? 0, segments);
  const share = bypass === undefined || tcp === undefined || all === 0 ? undefined : bypass / all;
  if (within.length > 1 && bypass !== undefined)
    return { rate: undefined, share, server: undefined, clients: undefined };
  const rate = all / seconds;
  const used = (names: readonly string[]) => {
    const times = [...new Set(names)].map((name) => (valueAt(end.cpu, name) ?? NaN) - (valueAt(begin.cpu, name) ?? 0));
    // A process that has ended took its time with it.
    if (rate * seconds < fewestMessages || times.length === 0 || !times.every((one) => one >= 0)) return undefined;
    return (times.reduce((sum, one) => sum + one, 0) * 1e6) / (rate * seconds);
  };
  return {
    ...{ rate, share, server: used([service.program]) },
    clients: used(service.clients.filter((name) => name !== service.program && name !== "?")),
  };
}

function counterOf(label: string, path: string): string {
  return `socket_bypass_port_messages_total ${label} ${path}`;
}

/** The narrowest range of a policy that has this port, as its counters call it, or else "any". */
function labelFor(port: number, counters: HostRecording["end"]["counters"]): string | undefined {
  const labels = Object.keys(counters).flatMap((key) => {
    const [, label = "", path] = key.split(" ");
    return path === "bypass" && counterOf(label, path) === key && isWithin(port, label) ? [label] : [];
  });
  const width = (label: string) => {
    const [first, last] = endsOf(label);
    return last - first;
  };
  return labels.sort((a, b) => width(a) - width(b))[0];
}

function isWithin(port: number, label = ""): boolean {
  const [first, last] = endsOf(label);
  return first <= port && port <= last;
}

function endsOf(label: string): [number, number] {
  if (label === "any") return [0, Infinity];
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(label) ?? [];
  return [Number(first), Number(last)];
}

/** Connections that leave the host are in no counter. */
function isCounted({ onHost, shortConnections }: Service): boolean {
  return onHost > 0 || shortConnections !== 0;
}

/** A program may be called as a method of every object. */
function valueAt(all: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

function middle(sides: readonly Side[]): Side {
  return {
    rate: median(known(sides.map(({ rate }) => rate))),
    share: median(known(sides.map(({ share }) => share))),
    server: median(known(sides.map(({ server }) => server))),
    clients: median(known(sides.map(({ clients }) => clients))),
  };
}

function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

/** Microseconds of both ends together; undefined if none of them is known. */
export function costOf({ server, clients }: Side): number | undefined {
  return server === undefined && clients === undefined ? undefined : (server ?? 0) + (clients ?? 0);
}
