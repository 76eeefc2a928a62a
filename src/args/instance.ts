// SPDX-License-Identifier: Apache-2.0
import { plainText } from "./validation/schema";

/**
 * The host script takes these names, and Kubernetes takes them as the value of a label. @internal
 */
export const instanceName = plainText(
  "a name of 1 to 63 lower-case letters, digits and dashes, no dash at either end",
  "give the name that the installation has, as in /var/lib/socket-bypass",
  (value) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
);
