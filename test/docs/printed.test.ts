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

test("the page of other languages names the CLI and the SDKs that the tests run its programs with", () => {
  const page = read("docs/how-to/use-from-other-languages.md").replaceAll("\n", " ");
  const [, cli] = /PULUMI_VERSION = "v(.*)"/.exec(read("tools/pulumi/entries.mjs")) ?? [];
  const [, python] = /^pulumi==(.*)$/m.exec(read("test/e2e/languages/python/requirements.txt")) ?? [];
  const [, go] = /pulumi\/sdk\/v3 v(.*)$/m.exec(read("test/e2e/languages/go/go.mod")) ?? [];
  expect(page).toContain(
    `with the Pulumi CLI ${cli}, with the package \`pulumi\` ${python} in Python, and with \`sdk/v3\` ${go} in Go`,
  );
});

// test/examples runs these tests in a copy of the example.
test.each(["hosts.ts", "index.ts", "mocks.ts", "vitest/stack.test.ts"])(
  "the page of unit tests has %s of examples/testing",
  (path) => {
    const program = read(join("examples/testing", path));
    expect(read("docs/how-to/test-your-stack.md")).toContain(`\`\`\`ts ${path}\n${program}\`\`\`\n`);
  },
);
