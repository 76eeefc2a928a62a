// SPDX-License-Identifier: Apache-2.0

/** The first version in a text, as numbers, or undefined: `v3.182.0-alpha` gives [3, 182, 0]. */
export function parseVersion(text) {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match === null ? undefined : match.slice(1).map((part) => Number(part ?? 0));
}

export function atLeast(version, oldest) {
  if (version === undefined) return false;
  const i = oldest.findIndex((part, at) => version[at] !== part);
  return i === -1 || version[i] > oldest[i];
}
