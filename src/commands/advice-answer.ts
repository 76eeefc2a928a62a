// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type Advice, GainSource, ServiceAdvice, ServiceKind } from "./advice";
import { printable, printableUpTo } from "./printable";

/** A host tells of at most 1,024 services, in some 4 KB each. */
export const largestAdvice = 8 * 1024 * 1024;

// The host and the names of its programs decide what is printed, so everything has a bound, and no
// text reaches a terminal as it is.
const number = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const whole = number.int();
const text = z.string().max(8192).transform(printable);
/** A list of up to a dozen things. */
const longText = z
  .string()
  .max(8192)
  .transform((said) => printableUpTo(2000, said));
const list = <T extends z.ZodType>(entry: T) => z.array(entry).max(4096);
const rates = z.object({ inbound: number, outbound: number });
/** null is what the host does not know. */
const known = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? null);

const port = z.number().int().min(1).max(65535);
/** A build before the first release printed texts, which are in the states of its stacks. */
const listedPort = z.union([
  port,
  z
    .string()
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .pipe(port),
]);

const service = z.object({
  ...{ port, program: text, clients: list(text) },
  ...{ connections: whole, onHost: whole, shortConnections: known(whole) },
  ...{ perSecond: rates, bytesPerMessage: rates, bytesPerSecond: rates },
  ...{ kind: z.enum(ServiceKind), dangers: list(z.object({ kind: text, program: text, reason: text })) },
  ...{ gain: known(z.object({ low: number, high: number })), advice: z.enum(ServiceAdvice), reason: text },
});
/** The answer as the host prints it. */
export const adviceAnswer = z.object({
  ...{ version: z.literal(1), seconds: number, kernel: text, machine: text, gainFrom: z.enum(GainSource) },
  ...{ namespaces: whole, sockets: whole, services: list(service) },
  ...{ traffic: z.object({ ports: list(listedPort) }), unseen: known(longText) },
});
export type AdviceAnswer = z.infer<typeof adviceAnswer>;

/** Reads what `advise --json` printed; undefined if it cannot have printed that. */
export function readAdvice(printed: string): Advice | undefined {
  const told = parse(printed)?.data;
  if (told === undefined) return undefined;
  const { version: _, ...advice } = withoutNull(told);
  return advice;
}

/** What was found in place of advice. */
export function foundInstead(printed: string): string {
  const path = parse(printed)?.error?.issues[0]?.path.join(".");
  if (path) return `an answer that is wrong at ${printable(path)}`;
  return printed.length > largestAdvice ? `more than ${largestAdvice} bytes` : "another answer";
}

function parse(printed: string) {
  if (printed.length > largestAdvice) return undefined;
  // Some login shells print something of their own first.
  const start = printed.search(/^\{/m);
  return adviceAnswer.safeParse(asJson(printed.slice(Math.max(start, 0))));
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
