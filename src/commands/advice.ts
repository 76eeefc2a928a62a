// SPDX-License-Identifier: Apache-2.0

// Apart from the schema: whoever compiles against our declarations reads all that they import.

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
   * What the expected gains come from: a measurement on this host, for the message sizes that it
   * has, or the table of the package.
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
  ports: number[];
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
  inbound: number;
  /**
   * From the service.
   */
  outbound: number;
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
  low: number;
  /**
   * The upper end.
   */
  high: number;
}
