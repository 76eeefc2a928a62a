// SPDX-License-Identifier: Apache-2.0
import { type Files, linesOf } from "./files";

const folder = "host/script/";

/** Checks that each part of the host script is listed once, and calls only earlier parts. */
export function checkParts(files: Files): string[] {
  const list = files.get(`${folder}parts.txt`);
  if (list === undefined) return [];
  const names = linesOf(list)
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.split(" ")[0] ?? "");
  const faults: string[] = [];
  for (const path of files.keys()) {
    const name = /^host\/script\/((?:lib|verbs)\/.*)\.sh$/.exec(path)?.[1];
    if (name !== undefined && !names.includes(name))
      faults.push(`${path}: expected it in ${folder}parts.txt, found nothing`);
  }
  const owners = new Map<string, number>();
  const texts = [...names, "main"].map((name) => files.get(`${folder}${name}.sh`) ?? "");
  for (const [at, text] of texts.entries())
    for (const name of functionsOf(text)) {
      const other = owners.get(name);
      if (other !== undefined) faults.push(`${folder}${names[at]}.sh: ${name}: is in ${names[other]} too`);
      else owners.set(name, at);
    }
  for (const [at, text] of texts.entries()) {
    const name = names[at] ?? "main";
    const path = `${folder}${name}.sh`;
    if (text === "") faults.push(`${path}: is in ${folder}parts.txt and not here`);
    const verb = /^verbs\/(.*)$/.exec(name)?.[1]?.replaceAll("-", "_");
    if (verb !== undefined && !functionsOf(text).includes(`cmd_${verb}`))
      faults.push(`${path}: expected cmd_${verb}, found none`);
    for (const called of callsOf(text)) {
      const owner = owners.get(called);
      if (owner !== undefined && owner > at)
        faults.push(`${path}: ${called}: expected calls of earlier parts, found one of ${names[owner] ?? "main"}`);
    }
  }
  return faults;
}

export function functionsOf(text: string): string[] {
  return [...text.matchAll(/^([a-z_0-9]+)\(\)/gm)].map(([, name = ""]) => name);
}

/**
 * Finds words where a command may stand. Quoted text counts, because variables hold commands that
 * run later.
 */
export function callsOf(text: string): Set<string> {
  const plain = withoutPrograms(text)
    .replace(/^\s*#.*$/gm, "")
    .replace(/^([a-z_0-9]+)\(\)/gm, "")
    // Removes the pattern of a case.
    .replace(/^(\s*)[^()$"\n]*\)(?=\s)/gm, "$1");
  const before = /(?:^|[;&|({!"]|\b(?:then|do|else|if|elif|while|until|ignore|undo_with|examine \w+|step \S+ \S+))\s*/;
  const word = new RegExp(`${before.source}([a-z_][a-z_0-9]*)(?=[\\s;)|&"}]|$)`, "gm");
  const found = new Set<string>();
  for (let match = word.exec(plain); match !== null; match = word.exec(plain)) {
    found.add(match[1] ?? "");
    // The next command may begin where this word does.
    word.lastIndex = match.index + 1;
  }
  return found;
}

/** Removes the programs of awk and sed, which stand in single quotes, often over many lines. */
function withoutPrograms(text: string): string {
  return text
    .replace(/\b(awk|sed)\b((?:[^'\n]|"[^"\n]*")*)'[^']*'/g, "$1$2''")
    .replace(/<<-?'?END'?\n.*?\n\t*END$/gms, "");
}
