// SPDX-License-Identifier: Apache-2.0
import type { Advice, AdvisedService } from "./advice";
import type { Policy } from "./verbs";

/** How many findings are told of a host. */
const mostFindings = 10;

/** What is in danger and what would gain on a host that is only observed, in one line. */
export function findingsIn(advice: Advice): string {
  const dangers = advice.services
    .filter(({ advice }) => advice === "danger")
    .map((one) => `${nameOf(one)} must be left out: ${one.reason}`);
  return [...shorten(dangers), gainsIn(advice)].join("; ");
}

function gainsIn({ services, traffic }: Advice): string {
  const gaining = services
    .filter(({ advice }) => advice === "include")
    .map((one) => `${nameOf(one)} would gain${gainOf(one)}`);
  if (gaining.length === 0) return `no port would gain, of ${services.length} services that were seen`;
  return `${shorten(gaining).join(", ")}; what to declare: traffic: ${JSON.stringify(traffic)}`;
}

/**
 * Where the declared traffic differs from the advice: listed ports that do not gain, and others
 * that would. The advice knows no addresses, so networks do not count. A port of which too little
 * was seen to gain or lose anything is not told, nor is one that the host does not use: a fleet may
 * share its list.
 */
export function differences({ services }: Advice, policy: Policy): string[] {
  const isListed = ({ port }: AdvisedService) =>
    policy.everything || policy.ports.length === 0 || policy.ports.some((range) => isIn(port, range));
  const dangers = services.filter((one) => isListed(one) && one.advice === "danger");
  const others = services.flatMap((one) => {
    const { advice, kind, reason } = one;
    if (!isListed(one))
      return advice === "include"
        ? [`${nameOf(one)}, which traffic does not list, would gain${gainOf(one)}: ${reason}`]
        : [];
    return advice === "leave" && kind !== "idle"
      ? [`${nameOf(one)}, which traffic lists, gains nothing: ${reason}`]
      : [];
  });
  // Dangers come first, because what comes last may be cut off.
  return shorten([
    ...dangers.map((one) => `${nameOf(one)}, which traffic lists, is in danger: ${one.reason}`),
    ...others,
  ]);
}

function nameOf({ port, program }: AdvisedService): string {
  return `port ${port} (${program})`;
}

function gainOf({ gain }: AdvisedService): string {
  return gain === undefined ? "" : ` (${gain.low} to ${gain.high} times plain TCP)`;
}

function isIn(port: number, range: string): boolean {
  const [first, last = first] = range.split("-").map(Number);
  return first !== undefined && last !== undefined && first <= port && port <= last;
}

function shorten(all: readonly string[]): string[] {
  const more = all.length - mostFindings;
  return more > 0 ? [...all.slice(0, mostFindings), `${more} more in the output advice`] : [...all];
}
