// SPDX-License-Identifier: Apache-2.0
// Asks the components themselves what they say of a wrong value.
import * as pulumi from "@pulumi/pulumi";
import { BypassHost, BypassNodePool, SocketBypass } from "../../src/index";

/** A value that fits no property. */
const wrong = Number.NaN;

export type Path = readonly (string | number)[];

export interface Refusal {
  readonly expected: string;
  readonly fix: string;
}

const components = { SocketBypass, BypassHost, BypassNodePool };

/** Mocks the engine, without which a component cannot be made. */
export async function mockEngine(): Promise<void> {
  await pulumi.runtime.setMocks({
    newResource: ({ name, inputs }) => ({ id: `${name}-id`, state: inputs }),
    call: ({ inputs }) => inputs,
  });
}

/** What a component says of a wrong value at a path; undefined if it takes every value there. */
export function refusalOf(component: keyof typeof components, path: Path): Refusal | undefined {
  const prefix = `  ${pathText(path)}: expected `;
  const line = messageOf(component, nested(path))
    .split("\n")
    .find((one) => one.startsWith(prefix));
  const found = /^(.*), found (?:NaN|another number|a list of 1|an object|an empty object); (.*)$/.exec(
    line?.slice(prefix.length) ?? "",
  );
  return found === null ? undefined : { expected: `${found[1]}`, fix: `${found[2]}` };
}

function messageOf(component: keyof typeof components, args: object): string {
  try {
    new components[component]("edge", args as never);
  } catch (error) {
    return error instanceof Error ? error.message : `${error}`;
  }
  return "";
}

function nested(path: Path): object {
  return path.reduceRight<unknown>(
    (value, key) => (typeof key === "number" ? [value] : { [key]: value }),
    wrong,
  ) as object;
}

function pathText(path: Path): string {
  return path.map((key, at) => (typeof key === "number" ? `[${key}]` : at === 0 ? key : `.${key}`)).join("");
}
