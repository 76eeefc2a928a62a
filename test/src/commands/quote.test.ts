// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quote, shellLine } from "../../../src/commands/quote";
import { runLine, shells } from "./shells";

/**
 * Contains no NUL, which no argument can hold, and no half of a surrogate pair, which no file can.
 */
const word = fc
  .oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.stringMatching(/^[ -~\n\t]{0,40}$/),
    fc.string({ unit: fc.constantFrom("'", '"', "\\", "$", "`", "\n", " ", "!", "~", "*", "=", "-", "#", ";", "a") }),
  )
  .map((text) => Buffer.from(text.replaceAll("\0", "")).toString());

describe.each(shells)("%s", (_, shell) => {
  test("reads back every word that was quoted", () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 40 }), (words) => {
        // Each word alone and between marks, so that a loss at either end shows.
        const line = words.map((one) => `printf '<%s>\\0' ${quote(one)}`).join("; ");
        expect(runLine(shell, line)).toEqual({
          code: 0,
          stdout: words.map((one) => `<${one}>\0`).join(""),
          stderr: "",
        });
      }),
      { numRuns: 150 },
    );
  });

  test("splits a line into exactly the words that it was made of, also through another `sh -c`", () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        const line = shellLine(["printf", "<%s>\\0", ...words]);
        const stdout = words.map((one) => `<${one}>\0`).join("");
        expect(runLine(shell, line).stdout).toBe(stdout);
        expect(runLine(shell, `sh -c ${quote(line)}`).stdout).toBe(stdout);
      }),
      { numRuns: 100 },
    );
  });

  test("treats the first word as a command, never as an assignment or a keyword", () => {
    expect(runLine(shell, `${shellLine(["A=1"])}; echo "[$A]"`).stdout).toBe("[]\n");
    expect(runLine(shell, shellLine(["~root"])).stderr).toContain("~root");
  });
});

test("plain words stay unquoted, so that a preview reads well", () => {
  expect(shellLine(["sh", "/var/lib/x_1.0/y", "--ports", "80,8000-8999", "--cidrs", "fd00::/8", "a%b@c+d"])).toBe(
    "sh /var/lib/x_1.0/y --ports 80,8000-8999 --cidrs fd00::/8 a%b@c+d",
  );
});

test("a NUL is refused, and the error does not show the word", () => {
  expect(() => quote("hunter2\0")).toThrow(
    /^expected a word for the shell, found a NUL character in it; remove it, because no argument can hold one$/,
  );
});
