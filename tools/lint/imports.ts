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
 * Checks that imports in src go down only, that the product imports nothing from tools and test,
 * and that no import, be it of a type, leads back to the file that it is in.
 */
export function checkImports(files: Files): string[] {
  const faults: string[] = [];
  const all = new Map<string, string[]>();
  for (const [path, text] of files) {
    if (!/\.(ts|mts|mjs)$/.test(path)) continue;
    const targets = [...text.matchAll(/\b(?:from|import|require)\s*\(?\s*"(\.[^"]*)"/g)].map(([, specifier = ""]) =>
      posix.normalize(posix.join(posix.dirname(path), specifier)),
    );
    all.set(
      path,
      targets.flatMap((target) => fileOf(target, files) ?? []),
    );
    for (const target of targets) {
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
  return [...faults, ...circlesOf(all)];
}

/** The file that an import of this path means, or undefined if it is none of ours. */
function fileOf(target: string, files: Files): string | undefined {
  const stem = target.replace(/\.js$/, "");
  return [target, `${stem}.ts`, `${stem}.mts`, `${stem}/index.ts`].find((path) => files.has(path));
}

/** One fault for each import that closes a circle, with the files of the circle in order. */
function circlesOf(all: ReadonlyMap<string, readonly string[]>): string[] {
  const faults: string[] = [];
  const done = new Set<string>();
  const follow = (path: string, above: readonly string[]) => {
    if (above.includes(path)) {
      const circle = above.slice(above.indexOf(path));
      faults.push(
        `${circle.at(-1)}: expected no circle of imports, found ${[...circle, path].join(" -> ")}; move what both need to a file of its own`,
      );
    }
    if (done.has(path) || above.includes(path)) return;
    for (const target of all.get(path) ?? []) follow(target, [...above, path]);
    done.add(path);
  };
  for (const path of all.keys()) follow(path, []);
  return faults;
}
