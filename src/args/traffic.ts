// SPDX-License-Identifier: Apache-2.0
import { isIP } from "node:net";
import type * as pulumi from "@pulumi/pulumi";
import { flag, isPending, leaf, list, shape, text, wrong } from "./validation/schema";

/** Which connections may skip the TCP/IP stack. */
export interface Traffic {
  /**
   * Ports (6379) and ranges of ports ("8000-8999"), at most 64. One of the two ports of a
   * connection must be among them. Default: any port.
   */
  ports?: pulumi.Input<pulumi.Input<string | number>[]>;
  /**
   * Networks ("10.0.0.0/8", "fd00::/8"), at most 64. Both addresses of a connection must lie in
   * them. Default: any address.
   */
  cidrs?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Every connection between two sockets of one host. Default false; stands alone, without ports
   * and cidrs. A host whose kernel has no method to protect programs that splice refuses it, unless
   * spliceGuard is "off".
   */
  everything?: pulumi.Input<boolean>;
}

const ports = list(
  leaf(
    'a port or a range from 1 to 65535, such as 6379 or "8000-8999"',
    "write a port as a number and a range in quotes, digits only, the lower port first",
    (value) => (typeof value === "number" || typeof value === "string") && isPorts(`${value}`),
  ),
  "ports",
  'ports: [6379, "8000-8999"]',
);
const cidrs = list(
  text(
    'a network such as "10.0.0.0/8" or "fd00::/8"',
    "set the bits behind the mask to zero; write one address as /32 or /128",
    isNetwork,
  ),
  "networks",
  'cidrs: ["10.0.0.0/8"]',
);

/** @internal */
export const trafficSchema = shape({ ports, cidrs, everything: flag() }).check((context) => {
  const { ports, cidrs, everything } = context.value;
  const lists = [ports, cidrs].filter((one) => one !== undefined);
  if (lists.length === 0 && everything !== true && !isPending(everything)) {
    context.issues.push(wrong({}, [], "a choice of traffic", "give ports, cidrs, or everything: true"));
  }
  if (lists.length > 0 && everything === true) {
    context.issues.push(wrong(true, ["everything"], "everything alone", "leave out ports and cidrs, or everything"));
  }
});

function isPorts(value: string): boolean {
  const [first, last = first, ...more] = value.split("-");
  return more.length === 0 && isPort(first) && isPort(last) && Number(first) <= Number(last);
}

function isPort(value: string | undefined): boolean {
  return value !== undefined && /^[1-9][0-9]{0,4}$/.test(value) && Number(value) <= 65535;
}

/** @internal */
export function isNetwork(value: string): boolean {
  const [address, bits, ...more] = value.split("/");
  if (address === undefined || bits === undefined || more.length > 0 || !/^(0|[1-9][0-9]{0,2})$/.test(bits))
    return false;
  const words = isIP(address) === 4 ? wordsOf4(address) : wordsOf6(address);
  const width = isIP(address) === 4 ? 32 : 128;
  return words !== undefined && Number(bits) <= width && BigInt.asUintN(width - Number(bits), toNumber(words)) === 0n;
}

/** Splits an IPv4 address into two 16-bit words. */
function wordsOf4(address: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
  return [a * 256 + b, c * 256 + d];
}

/**
 * Splits an IPv6 address into eight 16-bit words; undefined for one with a zone and for an
 * IPv4-mapped one. The kernel stores an IPv4-mapped address as IPv4, so the user must write it as
 * IPv4.
 */
function wordsOf6(address: string): number[] | undefined {
  if (isIP(address) !== 6 || /[.%]/.test(address)) return undefined;
  const [head = "", tail] = address.split("::");
  const [before, after] = [head, tail ?? ""].map((half) => half.split(":").filter((word) => word !== ""));
  const words = [
    ...(before ?? []),
    ...Array(8 - (before?.length ?? 0) - (after?.length ?? 0)).fill("0"),
    ...(after ?? []),
  ];
  const numbers = words.map((word) => Number.parseInt(word, 16));
  return numbers.slice(0, 5).every((word) => word === 0) && numbers[5] === 0xffff ? undefined : numbers;
}

function toNumber(words: readonly number[]): bigint {
  return words.reduce((sum, word) => (sum << 16n) | BigInt(word), 0n);
}
