// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ComponentResource, type Input, secret } from "@pulumi/pulumi";
import { afterEach, describe, expect, test } from "vitest";
import { createStack } from "../../engine/stack.js";
import { SocketBypass } from "../../src/index.js";

const password = "correct-horse-battery";
const traffic = { everything: true };
const host = { host: "192.0.2.1", hostKey: "ssh-ed25519 AAAA" };
/** Where a password stands that is in the wrong place, and what the error must name. */
const mistakes: [what: string, args: object, named: string][] = [
  ["under a wrong name in a connection", inWeb({ connection: { ...host, passwrd: password } }), "connection.passwrd"],
  ["secret, under a wrong name", inWeb({ connection: { ...host, passwrd: secret(password) } }), "connection.passwrd"],
  ["in the bastion", inWeb({ connection: { ...host, proxy: { passwrd: secret(password) } } }), "proxy.passwrd"],
  ["beside the connection", inWeb({ connection: host, password: secret(password) }), "hosts.web.password"],
  ["in the place of a connection", inWeb({ connection: `root:${password}@192.0.2.1` }), "hosts.web.connection"],
  ["in the place of a host", { hosts: { web: secret(password) }, traffic }, "hosts.web"],
  ["in hosts that are secret as a whole", { hosts: secret({ web: { password } }), traffic }, "hosts"],
  ["in a flag", { ...inWeb({}), detectDrift: secret(password) }, "detectDrift"],
  ["in a name of the roll-out", { ...inWeb({}), rollout: { canary: [secret(password)] } }, "rollout.canary[0]"],
];

function inWeb(web: object): object {
  return { hosts: { web }, traffic };
}

/** The component as a program in another language has it: the engine starts the package as a plugin and hands the arguments on. */
class ThroughPlugin extends ComponentResource {
  constructor(name: string, args: object) {
    super("socket-bypass:index:SocketBypass", name, args as Record<string, Input<unknown>>, {}, true);
  }
}

// What these do not prove: what is found out only once a value is known, such as a wrong port that is secret; test/args looks at those errors.
const ways: [string, (args: object) => unknown][] = [
  ["in a Node program", (args) => new SocketBypass("edge", args as never)],
  ["through the engine, as in other languages", (args) => new ThroughPlugin("edge", args)],
];

let folder = "";
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

describe.each(ways)("a password in a wrong place, %s,", (_, make) => {
  test("is in no message and not in the state, and the place is named", async () => {
    folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-engine-"));
    const backend = join(folder, "backend");
    fs.mkdirSync(backend);
    let args: object = {};
    const program = async () => void make(args);
    const stack = await createStack({ projectName: "secrets", stackName: "one", program }, folder, {});
    const plugin = `plugins:\n  providers:\n    - { name: socket-bypass, path: ${resolve(__dirname, "../..")} }\n`;
    fs.appendFileSync(join(backend, "Pulumi.yaml"), plugin);
    for (const [what, wrong, named] of mistakes) {
      args = wrong;
      let said = "";
      const onOutput = (text: string) => (said += text);
      await stack.up({ onOutput, onError: onOutput }).then(
        () => expect.fail(`${what}: expected up to fail, and it succeeded`),
        (error) => (said += `${error}`),
      );
      expect({ what, named: said.includes(`${named}: expected`) }).toEqual({ what, named: true });
      const state = fs.readFileSync(join(backend, ".pulumi/stacks/secrets/one.json"), "utf8");
      expect({ what, said, shown: (said + state).includes(password) }).toEqual({ what, said, shown: false });
    }
  });
});
