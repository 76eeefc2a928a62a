// SPDX-License-Identifier: Apache-2.0
import { posix } from "node:path";
import { type Files, linesOf } from "./files";

/** Checks that links between the pages and to files lead somewhere, with their anchors. */
export function checkLinks(files: Files): string[] {
  const folders = new Set([...files.keys()].flatMap(foldersOf));
  return [...files].flatMap(([path, text]) => {
    if (!path.endsWith(".md")) return [];
    return [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? path : posix.normalize(posix.join(posix.dirname(path), file)).replace(/\/$/, "");
      if (!files.has(target) && !folders.has(target)) return [`${path}: ${link}: expected that file, found none`];
      if (anchor === undefined || anchorsOf(files.get(target) ?? "").has(anchor)) return [];
      return [`${path}: ${link}: expected that heading in ${target}, found none`];
    });
  });
}

function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}

/** The anchors that GitHub derives from headings. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of linesOf(withoutCode(text, false))) {
    const heading = /^#{1,6} +(.*?)\s*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const name = plain.replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
    let [unique, count] = [name, 0];
    while (anchors.has(unique)) unique = `${name}-${++count}`;
    anchors.add(unique);
  }
  return anchors;
}

function withoutCode(text: string, isInlineToo = true): string {
  const plain = text.replace(/^```.*?^```/gms, "");
  return isInlineToo ? plain.replace(/`[^`\n]*`/g, "") : plain;
}
