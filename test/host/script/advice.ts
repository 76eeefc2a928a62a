// SPDX-License-Identifier: Apache-2.0
/* Connections of advise.py, and what `advise` says of them. */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { type Host, root } from "../../support/host.js";

interface Rates {
  readonly inbound: number;
  readonly outbound: number;
}
export interface Service {
  readonly port: number;
  readonly program: string;
  readonly clients: string[];
  readonly connections: number;
  readonly onHost: number;
  readonly shortConnections: number | null;
  readonly perSecond: Rates;
  readonly bytesPerMessage: Rates;
  readonly bytesPerSecond: Rates;
  readonly kind: string;
  readonly dangers: { kind: string; program: string; reason: string }[];
  readonly gain: { low: number; high: number } | null;
  readonly advice: string;
  readonly reason: string;
}
export interface Advice {
  readonly version: number;
  readonly seconds: number;
  readonly kernel: string;
  readonly gainFrom: string;
  readonly namespaces: number;
  readonly sockets: number;
  readonly services: Service[];
  readonly traffic: { ports: number[] };
  readonly unseen: string | null;
}

/** Starts connections of advise.py, and gives what it says about them. */
export async function play<Facts = Record<string, number>>(host: Host, ...words: string[]): Promise<Facts> {
  const path = join(root, "test/bpf/cases");
  const child = host.start("env", `PYTHONPATH=${path}`, "python3", "-B", join(__dirname, "advise.py"), ...words);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  for await (const line of lines) return JSON.parse(line);
  throw new Error(`advise.py ${words.join(" ")}: expected a line, found none`);
}

/** Other tests may have instances here that this version cannot read. */
export const notes = expect.stringMatching(/^(socket-bypass: note: .*\n)*$/);

export async function advise(host: Host, ...flags: string[]): Promise<Advice> {
  const { code, stdout, stderr } = await host.raw("advise", "--json", "--seconds", "2", ...flags);
  expect({ code, stderr }).toEqual({ code: 0, stderr: notes });
  return JSON.parse(stdout);
}

export function find({ services }: Advice, port: number | undefined): Service {
  const found = services.filter((service) => service.port === port);
  expect(found).toHaveLength(1);
  return found[0] as Service;
}

/** The programs pause between messages. A busy machine makes that longer, and never shorter. */
export const upTo = (number: number) =>
  expect.toSatisfy((found: number) => found > 0 && found <= number * 1.5, `more than 0, at most ${number} and a half`);
/** Of a message, a part may be on its way, and a segment may be sent twice. */
export const about = (number: number) =>
  expect.toSatisfy((found: number) => found > number * 0.7 && found < number * 1.3, `about ${number}`);
