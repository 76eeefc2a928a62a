// SPDX-License-Identifier: Apache-2.0
import { type FlowEnd, flowsAnswer, readAnswer } from "../answers";
import { ask, scriptText } from "../ask";
import { type Context, failures } from "../context";
import { table } from "../table";

/** 100,000 connections, each of some 600 bytes. */
const largest = 64 * 1024 * 1024;

/** The lines of `flows`, with the host in front. */
export async function flows(context: Context): Promise<number> {
  const told = await context.askAll(async (host) => {
    const text = scriptText(host, "bypass flows --json");
    return readAnswer(flowsAnswer, await ask(host, context.manner, text, { seconds: 120, largest }));
  });
  return context.tell(
    told,
    (value) => value,
    () => {
      const rows = told.flatMap((one) => {
        if ("error" in one) return [];
        return one.value.flatMap(({ client, server }) => [
          ...(client === null ? [] : [row(one.host.name, client, server)]),
          ...(server === null ? [] : [row(one.host.name, server, client)]),
        ]);
      });
      const headings = ["HOST", "FROM", "TO", "STATE", ">MESSAGES", ">BYTES", ">UNREAD", "WHY NOT"];
      return [rows.length > 0 ? table(headings, rows) : "no connection is enrolled", ...failures(told)].join("\n");
    },
  );
}

function row(host: string, from: FlowEnd, to: FlowEnd | null): string[] {
  const there = to === null ? place(from.remoteAddress, from.remotePort) : whole(to);
  const unread = to?.unread === undefined || to.unread === null ? "?" : `${to.unread}`;
  return [host, whole(from), there, from.state, `${from.messages}`, `${from.bytes}`, unread, from.why ?? "-"];
}

function whole({ address, port, processes }: FlowEnd): string {
  const [first] = processes;
  const more = processes.length > 1 ? `+${processes.length - 1}` : "";
  return `${place(address, port)}${first === undefined ? "" : ` ${first.command}/${first.pid}${more}`}`;
}

function place(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
