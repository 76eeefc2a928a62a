// SPDX-License-Identifier: Apache-2.0
/** Pages that print whole files, which other tests run: a page has each as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./pages";

const read = (path: string) => readFileSync(join(root, path), "utf8");

// test/e2e/languages runs these programs.
test.each([
  ["yaml", "yaml/Pulumi.yaml"],
  ["text", "python/requirements.txt"],
  ["python", "python/__main__.py"],
  ["go", "go/main.go"],
])("the page of other languages has, as %s, %s of the tests", (language, path) => {
  const program = read(join("test/e2e/languages", path));
  expect(read("docs/how-to/use-from-other-languages.md")).toContain(`\`\`\`${language}\n${program}\`\`\`\n`);
});

// test/examples runs these tests in a copy of the example.
test.each(["hosts.ts", "index.ts", "mocks.ts", "vitest/stack.test.ts"])(
  "the page of unit tests has %s of examples/testing",
  (path) => {
    const program = read(join("examples/testing", path));
    expect(read("docs/how-to/test-your-stack.md")).toContain(`\`\`\`ts ${path}\n${program}\`\`\`\n`);
  },
);
