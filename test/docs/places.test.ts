// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { suffixes } from "../../src/commands/step-names";
import { anchorsOf } from "../../tools/lint/links";
import { root } from "./pages";

/** Pages that errors, alerts and the dashboard name. Lint checks the names in comments. */
function namesIn(
  folder: string,
): { readonly path: string; readonly page: string; readonly anchor: string | undefined }[] {
  const paths = execFileSync("git", ["ls-files", folder], { cwd: root, encoding: "utf8" }).split("\n").filter(Boolean);
  return paths.flatMap((path) =>
    [...fs.readFileSync(join(root, path), "utf8").matchAll(/\b(docs\/[\w./-]+\.md)(?:#([\w-]+))?/g)].map(
      ([, page = "", anchor]) => ({ path, page, anchor }),
    ),
  );
}

test("the command that leaves out one host alone names each of its steps", () => {
  const page = fs.readFileSync(join(root, "docs/how-to/host-gone.md"), "utf8");
  const found = [...page.matchAll(/--exclude='\*\*::edge-web1-'\{(.*)\}/g)].map(([, names = ""]) => names.split(","));
  expect(found).toEqual([Object.values(suffixes)]);
});

test.each(["src", "host", "monitoring", "tools", "image"])(
  "pages that %s names exist, with their headings",
  (folder) => {
    const wrong = namesIn(folder).filter(({ page, anchor }) => {
      if (!fs.existsSync(join(root, page))) return true;
      return anchor !== undefined && !anchorsOf(fs.readFileSync(join(root, page), "utf8")).has(anchor);
    });
    expect(wrong).toEqual([]);
  },
);

test("errors and alerts do name pages", () => {
  expect(namesIn("src").length).toBeGreaterThan(2);
  expect(namesIn("monitoring").length).toBeGreaterThan(20);
});
