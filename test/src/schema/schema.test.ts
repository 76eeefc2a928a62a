// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { Analyzer } from "@pulumi/pulumi/provider/experimental/analyzer";
import { generateSchema } from "@pulumi/pulumi/provider/experimental/schema";
import { expect, test } from "vitest";
import * as exported from "../../../src/index";

const root = path.join(__dirname, "../../..");
const golden = path.join(__dirname, "schema.golden.json");

/** Makes the schema that other languages get, as the plugin host does. */
function analyze(): string {
  const about = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  // The plugin host, too, looks for every component that the package exports.
  const isComponent = (one: unknown) => typeof one === "function" && one.prototype instanceof pulumi.ComponentResource;
  const components = new Set(Object.entries(exported).flatMap(([name, one]) => (isComponent(one) ? [name] : [])));
  const {
    components: found,
    typeDefinitions,
    dependencies,
  } = new Analyzer(root, about.name, about, components).analyze();
  const schema = generateSchema(about.name, about.version, about.description, found, typeDefinitions, dependencies);
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/**
 * UPDATE_GOLDEN=1 rewrites the golden file. Read the difference before you commit it, because
 * programs in other languages depend on it.
 */
test("the schema for other languages equals the golden file", () => {
  const schema = analyze();
  if (process.env.UPDATE_GOLDEN === "1") fs.writeFileSync(golden, schema);
  expect(schema).toBe(fs.readFileSync(golden, "utf8"));
});
