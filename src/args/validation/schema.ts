// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";

/** Whether a value is not known yet; it is checked once it is. */
export function isPending(value: unknown): boolean {
  return pulumi.Output.isInstance(value) || value instanceof Promise;
}

/**
 * A value that may be left out or pending. `expected` says in words what must hold, and `fix` how
 * to make it hold.
 */
export function leaf(expected: string, fix: string, holds: (value: unknown) => boolean) {
  return z
    .custom<unknown>((value) => isPending(value) || holds(value), { error: expected, params: { expected, fix } })
    .optional();
}

/** Gives what was expected of a value and how to fix it, or nothing for a valid value. */
type Judge = (value: unknown) => readonly [expected: string, fix: string] | undefined;

/** Like leaf, for a value that may be wrong in several ways. */
export function judgedLeaf(judge: Judge, complain: typeof wrong = wrong) {
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (value === undefined || isPending(value)) return;
      const complaint = judge(value);
      if (complaint) context.issues.push(complain(value, [], ...complaint));
    })
    .optional();
}

/** The same for a value that must not be shown. */
export function hiddenLeaf(judge: Judge) {
  return judgedLeaf(judge, wrongHidden);
}

/** A text that may contain a credential by mistake: the name of a property, a line, a reference. */
export function hiddenText(expected: string, fix: string, holds: (value: string) => boolean) {
  return hiddenLeaf((value) => (typeof value === "string" && holds(value) ? undefined : [expected, fix]));
}

export function text(expected: string, fix: string, holds: (value: string) => boolean) {
  return leaf(expected, fix, (value) => typeof value === "string" && holds(value));
}

/** A choice of exactly three words. */
export function oneOfThree(words: Readonly<Record<string, string>>) {
  const all: readonly unknown[] = Object.values(words);
  const [first, second, third] = all.map((word) => `"${word}"`);
  return leaf(`${first}, ${second} or ${third}`, "choose one of the three", (value) => all.includes(value));
}

export function flag() {
  return leaf("true or false", "write it without quotes", (value) => typeof value === "boolean");
}

/** A flag that decides what the program does, so it must be known when the program runs. */
export function plainFlag() {
  const fix = "write it without quotes; an Output is known too late";
  return z
    .custom<boolean>((value) => typeof value === "boolean", { error: fix, params: { expected: "true or false", fix } })
    .optional();
}

/**
 * A text in the names of resources, or in what those names are derived from, so it must be known
 * when the program runs.
 */
export function plainText(expected: string, fix: string, holds: (value: string) => boolean) {
  return z
    .custom<string>((value) => typeof value === "string" && holds(value), {
      error: expected,
      params: { expected, fix: `${fix}; an Output is known too late` },
    })
    .optional();
}

export function whole(smallest: number, largest: number, unit: string) {
  const fix = `give a number from ${smallest} to ${largest}, without quotes`;
  return leaf(`a whole number of ${unit} from ${smallest} to ${largest}`, fix, (value) => {
    return typeof value === "number" && Number.isInteger(value) && value >= smallest && value <= largest;
  });
}

/**
 * A list of 1 to 64 entries, as many as the kernel's policy map holds. `example` shows how to write
 * one.
 */
export function list(entry: z.ZodType, what: string, example: string) {
  const expected = `a list of 1 to 64 ${what}`;
  const isOne = (value: unknown) => typeof value === "string" || typeof value === "number";
  return z
    .unknown()
    .check((context) => {
      const { value } = context;
      if (isPending(value) || value === undefined) return;
      if (!Array.isArray(value)) {
        const fix = isOne(value) ? `write it in brackets, as in ${example}` : `write a list, as in ${example}`;
        context.issues.push(wrong(value, [], expected, fix));
        return;
      }
      if (value.length === 0) context.issues.push(wrong(value, [], expected, "leave it out for any"));
      if (value.length > 64) context.issues.push(wrong(value, [], expected, "join neighbours to ranges"));
      for (const [at, one] of value.entries()) {
        const result = entry.safeParse(one, { reportInput: true });
        const issues = result.error?.issues ?? [];
        // A leaf is optional, but an entry of a list must not be missing.
        if (one === undefined || one === null) context.issues.push(wrong(one, [at], `one of the ${what}`, "remove it"));
        else
          for (const issue of issues)
            context.issues.push({ ...issue, path: [at, ...issue.path], continue: true } as never);
      }
    })
    .optional();
}

/** An object with these properties and no others. */
export function shape<T extends z.core.$ZodLooseShape>(properties: T) {
  const names = Object.keys(properties);
  const fix = `use ${names.join(", ")}`;
  const inside = `write the object itself and put Outputs inside it: ${names.join(", ")}`;
  // An Output has properties of its own, each of which would be reported as an unknown name.
  const isThere = z.custom<z.input<z.ZodObject<T>>>((value) => !isPending(value), {
    error: inside,
    params: { expected: "an object", fix: inside },
  });
  return isThere.pipe(z.strictObject(properties, { error: () => fix }));
}

/** A problem that no single value can show. */
export function wrong(input: unknown, path: PropertyKey[], expected: string, fix: string): z.core.$ZodRawIssue {
  return { code: "custom", input, path, message: expected, params: { expected, fix }, continue: true };
}

/** The same for a value that must not be shown. */
export function wrongHidden(input: unknown, path: PropertyKey[], expected: string, fix: string): z.core.$ZodRawIssue {
  const params = { expected, fix, isHidden: true };
  return { code: "custom", input, path, message: expected, params, continue: true };
}
