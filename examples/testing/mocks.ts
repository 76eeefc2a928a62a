// SPDX-License-Identifier: Apache-2.0
// What both test files begin with. No engine, no plugin and no host takes part.
import { generateKeyPairSync } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

/** Types and names of the resources that the stack registered. */
export const registered: { readonly type: string; readonly name: string }[] = [];

// These addresses are reserved for documentation: nobody answers there.
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr";
const machines = {
  "web1-canary": { address: "192.0.2.1", hostKey },
  web2: { address: "192.0.2.2", hostKey },
};

/** Call it once for each test file, before the stack is imported. */
export async function mock(): Promise<void> {
  // The package refuses what is no key.
  const { privateKey } = generateKeyPairSync("ed25519");
  pulumi.runtime.setAllConfig({
    "testing:machines": JSON.stringify(machines),
    "testing:privateKey": `${privateKey.export({ type: "pkcs8", format: "pem" })}`,
  });
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        registered.push({ type, name });
        return { id: `${name}_id`, state: inputs };
      },
      call: ({ inputs }) => inputs,
    },
    "testing",
    "unit",
  );
}

export function resolved<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => output.apply(resolve));
}
