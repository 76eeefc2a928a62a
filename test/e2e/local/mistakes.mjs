// SPDX-License-Identifier: Apache-2.0
// The program of secrets.test.ts, late-secrets.test.ts and files.test.ts: it makes one component
// for each of the arguments in mistakes.json, and the failure of one does not affect the others.
import { readFileSync } from "node:fs";
import { local } from "@pulumi/command";
import { ComponentResource, secret } from "@pulumi/pulumi";
import { SocketBypass } from "../../../bin/index.js";

/**
 * The component as a program in another language makes it: the engine starts the package as a
 * plugin and passes the arguments on.
 */
class ThroughPlugin extends ComponentResource {
  constructor(name, args) {
    super(`socket-bypass:index:${args.hosts === undefined ? "BypassHost" : "SocketBypass"}`, name, args, {}, true);
  }
}

let source;
/** A secret that is known once something has been created, and so not in a preview. */
function late(value) {
  source ??= new local.Command("source", { create: "true" });
  return secret(source.stdout).apply(() => value);
}

const { way, all } = JSON.parse(readFileSync("mistakes.json", "utf8"), (_, value) => {
  if (value?.["a late secret"] !== undefined) return late(value["a late secret"]);
  return value?.["a secret"] === undefined ? value : secret(value["a secret"]);
});

const Component = way === "node" ? SocketBypass : ThroughPlugin;
// Failures stay unhandled, so that the engine learns of them, as in a program that makes only one
// component.
for (const [name, args] of Object.entries(all)) void (async () => new Component(name, args))();
