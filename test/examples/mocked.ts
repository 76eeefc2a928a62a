// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the program of an example under mocks, and prints what it registers, as JSON: clouds answer
 * with an address, and tls with real keys. A copy of this file runs beside the installed packages.
 *
 * usage: mocked.ts PROGRAM CONFIGURATION
 */
import { generateKeyPairSync } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

const [program = "", configuration = "{}"] = process.argv.slice(2);
const address = "192.0.2.10";

/** A key as the provider of tls makes it, but for the format of its private half. */
function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { x = "" } = publicKey.export({ format: "jwk" });
  const blob = Buffer.concat([Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0\x20"), Buffer.from(x, "base64url")]);
  return {
    privateKeyOpenssh: `${privateKey.export({ type: "pkcs8", format: "pem" })}`,
    publicKeyOpenssh: `ssh-ed25519 ${blob.toString("base64")}\n`,
  };
}

/** What a cloud knows of a machine. */
const ofMachine = {
  ...{ publicIp: address, ipAddress: address, instanceId: "id of web", virtualMachineId: "id of web" },
  networkInterfaces: [{ accessConfigs: [{ natIp: address }] }],
};

/** Unwraps secrets: their mark is the SDK's own. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if ("4dabf18193072939515e22adb298388d" in value && "value" in value) return plain(value.value);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

async function main(): Promise<void> {
  const registered: object[] = [];
  pulumi.runtime.setAllConfig(JSON.parse(configuration));
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      const more = type.startsWith("tls:") ? makeKey() : type.startsWith("command:") ? {} : ofMachine;
      const state = { ...inputs, ...more };
      registered.push({ type, name, inputs, state });
      return { id: `id of ${name}`, state };
    },
    call: ({ inputs }) => ({ ...inputs, id: "found" }),
  });
  await import(program);
  await pulumi.runtime.disconnect();
  process.stdout.write(JSON.stringify(plain(registered)));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
