// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";

/** Project, stack, component and, for a host of a SocketBypass, the key of that host. */
export type IdentityParts = readonly string[];

/** What one installation is called on its host, and who may remove it. */
export interface Identity {
  readonly instance: string;
  readonly owner: string;
}

/**
 * Derives both names from the parts. Different parts give different names, whatever characters they
 * hold. An instance that the user gives stays the same when the parts change, because a host
 * accepts another owner of the same stack.
 */
export function identify(parts: IdentityParts, given?: string): Identity {
  return { instance: given ?? instanceName(parts), owner: parts.map(asOwnerPart).join("/") };
}

/**
 * Uses only lower-case letters, digits and dashes: bpffs refuses dots, and some other characters
 * have a meaning for systemd.
 */
function instanceName(parts: IdentityParts): string {
  const readable = parts
    .slice(2)
    .join("-")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
  const hash = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 8);
  return `${readable || "bypass"}-${hash}`;
}

/** Goes through bytes because encodeURIComponent throws on half of a surrogate pair. */
function asOwnerPart(part: string): string {
  return encodeURIComponent(Buffer.from(part).toString());
}
