// SPDX-License-Identifier: Apache-2.0

// What Pulumi runs for programs in other languages: PulumiPlugin.yaml makes its language host load
// the `main` of package.json, which is this file. It serves the schema.json of the package. It
// exports nothing then, because the SDK would serve an exported component by a schema of its own,
// for which it would compile our sources on the user's machine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import * as components from "./index";
import { servePlugin } from "./targets/current-run";

const { BypassHost, BypassNodePool, SocketBypass } = components;

type Construct = NonNullable<pulumi.provider.Provider["construct"]>;

/** Serves the components of this package to the engine. */
class Plugin implements pulumi.provider.Provider {
  readonly schema = readFileSync(join(__dirname, "../schema.json"), "utf8");
  readonly version: string;
  private readonly resources: Readonly<Record<string, { readonly properties: object }>>;

  constructor() {
    ({ version: this.version, resources: this.resources } = JSON.parse(this.schema));
  }

  /** The schema has the outputs that another language can have. */
  construct: Construct = async (name, type, inputs, options) => {
    const component = make(name, type, inputs, options);
    const outputs: Readonly<Record<string, unknown>> = { ...component };
    const names = Object.keys(this.resources[type]?.properties ?? {});
    return { urn: component.urn, state: Object.fromEntries(names.map((one) => [one, outputs[one]])) };
  };
}

/** The engine has checked no input: the component does. */
function make(...[name, type, inputs, options]: Parameters<Construct>): pulumi.ComponentResource {
  switch (type) {
    case "socket-bypass:index:SocketBypass":
      return new SocketBypass(name, inputs, options);
    case "socket-bypass:index:BypassHost":
      return new BypassHost(name, inputs, options);
    case "socket-bypass:index:BypassNodePool":
      return new BypassNodePool(name, inputs as ConstructorParameters<typeof BypassNodePool>[1], options);
    default:
      throw new Error(`expected a component of socket-bypass, found ${type}`);
  }
}

// The language host starts @pulumi/pulumi/cmd/run-plugin/index.js, which keeps that argument.
if (/[\\/]run-plugin[\\/]/.test(process.argv[1] ?? "")) {
  servePlugin();
  void pulumi.provider.main(new Plugin(), process.argv.slice(2));
} else {
  // A tool that does not know the `exports` of package.json loads its `main`.
  module.exports = components;
}
