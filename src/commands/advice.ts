// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { printable } from "./printable";

/** What was seen on a host, and what to make of it: the answer of `socket-bypass advise --json`. */
export interface Advice {
  /**
   * Seconds between the two looks.
   */
  seconds: number;
  /**
   * Release of the kernel.
   */
  kernel: string;
  /**
   * Type of the machine.
   */
  machine: string;
  /**
   * What the expected gains come from: a measurement on this host, or the table of the package.
   */
  gainFrom: GainSource;
  /**
   * Network namespaces that were looked at.
   */
  namespaces: number;
  /**
   * TCP sockets that were seen.
   */
  sockets: number;
  /**
   * The services that were seen, one for each port and program.
   */
  services: AdvisedService[];
  /**
   * The traffic to declare. It lists no port if nothing gains.
   */
  traffic: AdvisedTraffic;
  /**
   * What could not be seen, in a sentence. Absent if all was.
   */
  unseen?: string;
}

/** What expected gains come from. */
export const GainSource = {
  /** This host's own `socket-bypass bench`. */
  Bench: "bench",
  /** The table that the package brings. */
  Table: "table",
} as const;

export type GainSource = (typeof GainSource)[keyof typeof GainSource];

/** The traffic to declare. */
export interface AdvisedTraffic {
  /**
   * Ports that gain.
   */
  ports: string[];
}

/** One service of a host. */
export interface AdvisedService {
  /**
   * The port that it listens on.
   */
  port: number;
  /**
   * The name of its program, "?" if unknown.
   */
  program: string;
  /**
   * The names of the programs that connect to it from the same host.
   */
  clients: string[];
  /**
   * Connections that were seen.
   */
  connections: number;
  /**
   * How many of them have both ends on this host. Only these can gain.
   */
  onHost: number;
  /**
   * Connections that began and ended between the two looks. Absent if unknown.
   */
  shortConnections?: number;
  /**
   * Messages per second, estimated from TCP's segments, on this host.
   */
  perSecond: AdvisedRates;
  /**
   * Mean size of a message in bytes.
   */
  bytesPerMessage: AdvisedRates;
  /**
   * Bytes per second, on this host.
   */
  bytesPerSecond: AdvisedRates;
  /**
   * What its traffic looks like.
   */
  kind: ServiceKind;
  /**
   * What the bypass would break.
   */
  dangers: AdvisedDanger[];
  /**
   * The expected ratio to plain TCP. Absent if unknown.
   */
  gain?: AdvisedGain;
  /**
   * What to do with its port.
   */
  advice: ServiceAdvice;
  /**
   * Why, in a sentence.
   */
  reason: string;
}

/** What the traffic of a service looks like. */
export const ServiceKind = {
  /** Requests and responses in turn. */
  Request: "request",
  /** Mostly one way. */
  Stream: "stream",
  /** Nothing, or next to nothing. */
  Idle: "idle",
} as const;

export type ServiceKind = (typeof ServiceKind)[keyof typeof ServiceKind];

/** What to do with the port of a service. */
export const ServiceAdvice = {
  /** List it in `traffic`: it gains. */
  Include: "include",
  /** Leave it out: it does not gain. */
  Leave: "leave",
  /** Leave it out: a program would be harmed. */
  Danger: "danger",
  /** Look again when there is traffic: too little was seen to tell. */
  Watch: "watch",
} as const;

export type ServiceAdvice = (typeof ServiceAdvice)[keyof typeof ServiceAdvice];

/** A number for each direction of a service's connections. */
export interface AdvisedRates {
  /**
   * Towards the service.
   */
  in: number;
  /**
   * From the service.
   */
  out: number;
}

/** Something that a program does and the bypass would break. */
export interface AdvisedDanger {
  /**
   * One word, such as "splice" or "ktls".
   */
  kind: string;
  /**
   * The name of the program.
   */
  program: string;
  /**
   * Why, in a sentence.
   */
  reason: string;
}

/** A range of expected ratios to plain TCP, 1 for no difference. */
export interface AdvisedGain {
  /**
   * The lower end.
   */
  from: number;
  /**
   * The upper end.
   */
  to: number;
}

// The host and the names of its programs decide what is printed, so everything has a bound, and no
// text reaches a terminal as it is.
const mostBytes = 1 << 20;
const number = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const whole = number.int();
const text = z.string().max(8192).transform(printable);
const list = <T extends z.ZodType>(entry: T) => z.array(entry).max(4096);
const rates = z.object({ in: number, out: number });
/** null is what the host does not know. */
const known = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? null);

const service = z.object({
  ...{ port: z.number().int().min(1).max(65535), program: text, clients: list(text) },
  ...{ connections: whole, onHost: whole, shortConnections: known(whole) },
  ...{ perSecond: rates, bytesPerMessage: rates, bytesPerSecond: rates },
  ...{ kind: z.enum(ServiceKind), dangers: list(z.object({ kind: text, program: text, reason: text })) },
  ...{ gain: known(z.object({ from: number, to: number })), advice: z.enum(ServiceAdvice), reason: text },
});
/** The answer as the host prints it. */
export const adviceAnswer = z.object({
  ...{ version: z.literal(1), seconds: number, kernel: text, machine: text, gainFrom: z.enum(GainSource) },
  ...{ namespaces: whole, sockets: whole, services: list(service) },
  ...{ traffic: z.object({ ports: list(z.string().regex(/^\d{1,5}(-\d{1,5})?$/)) }), unseen: known(text) },
});
export type AdviceAnswer = z.infer<typeof adviceAnswer>;

/** Reads what `advise --json` printed; undefined if it cannot have printed that. */
export function readAdvice(printed: string): Advice | undefined {
  if (printed.length > mostBytes) return undefined;
  // Some login shells print something of their own first.
  const start = printed.search(/^\{/m);
  const told = adviceAnswer.safeParse(asJson(printed.slice(Math.max(start, 0)))).data;
  if (told === undefined) return undefined;
  const { version: _, ...advice } = withoutNull(told);
  return advice;
}

/** What the host does not know is absent for a program. */
function withoutNull(told: AdviceAnswer): Advice & { version: number } {
  return JSON.parse(JSON.stringify(told), (_, value) => value ?? undefined);
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
