// SPDX-License-Identifier: Apache-2.0
import type { AdviceAnswer } from "../commands/advice-answer";
import { short, table } from "./table";

type Service = AdviceAnswer["services"][number];

const foreign = "a table that another host made";

/** The widest list of clients; --json has all of them. */
const widest = 24;

/**
 * What the host's own table tells: figures, reasons, dangers, what was not seen, what to declare.
 */
export function describeAdvice(name: string, answer: AdviceAnswer): string {
  const { services, traffic } = answer;
  const from =
    answer.gainFrom === "bench" ? `this host's own bench for the sizes that it has, else by ${foreign}` : foreign;
  return [
    `# ${name} (Linux ${answer.kernel}, ${answer.seconds} s)`,
    ...(services.length === 0
      ? ["no connection to a service of this host was seen"]
      : [table(headings, services.map(rowOf)), "", ...services.flatMap(reasonsOf), ""]),
    `gain: ratio to plain TCP, by ${from}`,
    `unseen: ${answer.unseen ?? "nothing"}`,
    traffic.ports.length > 0 ? `traffic: { ports: [${traffic.ports.join(", ")}] }` : "traffic: no port would gain",
  ].join("\n");
}

const headings = [
  ...[">PORT", "PROGRAM", "CLIENTS", ">CONNS", ">HERE", ">SHORT", ">IN/S", ">BYTES", ">OUT/S", ">BYTES"],
  ...["KIND", "GAIN", "ADVICE"],
];

function rowOf(one: Service): string[] {
  const clients = one.clients.join(" ");
  return [
    ...[`${one.port}`, one.program, clients.length > widest ? `${clients.slice(0, widest - 1)}+` : clients || "-"],
    ...[`${one.connections}`, `${one.onHost}`, short(one.shortConnections)],
    ...[short(one.perSecond.inbound), short(one.bytesPerMessage.inbound)],
    ...[short(one.perSecond.outbound), short(one.bytesPerMessage.outbound)],
    ...[one.kind, one.gain === null ? "-" : `${one.gain.low.toFixed(2)}-${one.gain.high.toFixed(2)}`, one.advice],
  ];
}

/** The reason of the advice, and below it each danger that the reason does not tell. */
function reasonsOf(one: Service): string[] {
  const told = `${one.port} ${one.program}: ${one.advice}: ${one.reason}`;
  const others = one.dangers.filter(({ program, reason }) => one.reason !== `${program}: ${reason}`);
  return [told, ...others.map(({ kind, program, reason }) => `    ${kind}: ${program}: ${reason}`)];
}
