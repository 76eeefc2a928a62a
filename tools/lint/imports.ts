// SPDX-License-Identifier: Apache-2.0
import { posix } from "node:path";
import type { Files } from "./files";

/** The layers of src/, from the bottom up, with the layers that each may import. */
const layers: Readonly<Record<string, readonly string[]>> = {
  args: [],
  bundle: ["args"],
  commands: ["args", "bundle"],
  targets: ["args", "bundle", "commands"],
  install: ["args", "bundle", "commands", "targets"],
  components: ["args", "bundle", "commands", "targets", "install"],
  // Of targets and bundle it may use only what does not load Pulumi.
  cli: ["bundle", "commands", "targets"],
};

/**
 * Checks that imports in src go down only, and that the product imports nothing from tools and
 * test.
 */
export function checkImports(files: Files): string[] {
  const faults: string[] = [];
  for (const [path, text] of files) {
    if (!/\.(ts|mts|mjs)$/.test(path)) continue;
    for (const [, specifier = ""] of text.matchAll(/\b(?:from|import|require)\s*\(?\s*"(\.[^"]*)"/g)) {
      const target = posix.normalize(posix.join(posix.dirname(path), specifier));
      const [top = "", layer = ""] = path.split("/");
      const [itsTop = "", itsLayer = ""] = target.split("/");
      if (!["tools", "test"].includes(top) && ["tools", "test"].includes(itsTop) && path.includes("/"))
        faults.push(
          `${path}: expected no import of ${target}: ${itsTop} imports the product, never the other way round`,
        );
      if (top !== "src" || itsTop !== "src" || !path.includes("/", 4)) continue;
      if (layer !== itsLayer && !layers[layer]?.includes(itsLayer))
        faults.push(
          `${path}: expected no import of ${target}: ${layer} may import ${layers[layer]?.join(", ") || "nothing of ours"}`,
        );
    }
  }
  return faults;
}
