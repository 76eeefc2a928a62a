// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { printable } from "../commands/printable";
import { Problem } from "./problem";

// What hosts answer. Whoever controls a host decides what it says, so all of it is checked, and all
// text is made printable before it is used.

const text = z.string().max(8192).transform(printable);
const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const number = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const names = z.array(text).max(1000);

export const statusAnswer = z
  .array(
    z.object({
      instance: text,
      serving: text,
      healthy: z.boolean(),
      problems: names,
      // An earlier build says this in other words; the rest of its answer still counts.
      spliceGuard: z.object({ method: text }).optional().catch(undefined),
      policy: z.object({ everything: z.boolean(), ports: text, enabled: z.boolean() }).optional(),
      generations: z
        .array(
          z.object({
            generation: text,
            drain: z.boolean().optional(),
            sockets: whole.nullish(),
            // Port 0 is all of them.
            tap: z.object({ port: whole, snaplen: whole }).nullish(),
            counters: z.record(z.string().regex(/^[a-z_]{1,64}$/), whole),
          }),
        )
        .max(1000),
    }),
  )
  .max(1000);
export type StatusAnswer = z.infer<typeof statusAnswer>;

const end = z.object({
  address: text,
  port: whole,
  remoteAddress: text,
  remotePort: whole,
  processes: z.array(z.object({ pid: whole, command: text })).max(100_000),
  state: z.enum(["wait", "spill", "bypass", "leave"]),
  messages: whole,
  bytes: whole,
  sent: whole,
  unread: whole.nullable(),
  why: text.nullable(),
});
export type FlowEnd = z.infer<typeof end>;
export const flowsAnswer = z
  .array(z.object({ instance: text, generation: text, client: end.nullable(), server: end.nullable() }))
  .max(1_000_000);
export type FlowsAnswer = z.infer<typeof flowsAnswer>;

const rates = z.object({ messages: number, bytes: number.nullable() });
export const topFrame = z.object({
  version: z.literal(1),
  seconds: number,
  lookSeconds: number,
  spliceGuard: text,
  generations: z.array(z.object({ instance: text, generation: text, draining: z.boolean() })).max(1000),
  connections: whole,
  newConnections: number,
  bypass: rates,
  tcp: rates,
  unread: number,
  ports: z
    .array(
      z.object({
        port: whole,
        program: text.nullable(),
        connections: whole,
        bypass: rates,
        tcp: rates,
        unread: number,
        why: z.record(z.string().regex(/^[a-z-]{1,32}$/), whole),
      }),
    )
    .max(100),
  otherPorts: whole,
  directions: z
    .array(
      z.object({
        from: text,
        to: text,
        state: text,
        bypass: rates,
        tcp: rates,
        unread: number.nullable(),
        why: text.nullable(),
      }),
    )
    .max(100),
  otherDirections: whole,
});
export type TopFrame = z.infer<typeof topFrame>;

/** Reads JSON of one shape; throws a problem that says what the host does. */
export function readAnswer<T>(schema: z.ZodType<T>, said: string): T {
  let value: unknown;
  try {
    value = JSON.parse(said);
  } catch {
    throw new Problem(`answers with no JSON: ${printable(said.trim().slice(0, 80)) || "nothing"}`);
  }
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  const issue = error?.issues[0];
  throw new Problem(
    `answers with something else at ${printable(issue?.path.join(".") || "the top")}; run pulumi up, because the version there may be another`,
  );
}
