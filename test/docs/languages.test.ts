// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(__dirname, "../..");
const page = readFileSync(join(root, "docs/how-to/use-from-other-languages.md"), "utf8");

// test/e2e/languages runs these programs.
test.each([
  ["yaml", "yaml/Pulumi.yaml"],
  ["text", "python/requirements.txt"],
  ["python", "python/__main__.py"],
  ["go", "go/main.go"],
])("the page of other languages has, as %s, %s of the tests", (language, path) => {
  const program = readFileSync(join(root, "test/e2e/languages", path), "utf8");
  expect(page).toContain(`\`\`\`${language}\n${program}\`\`\`\n`);
});
