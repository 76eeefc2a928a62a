// SPDX-License-Identifier: Apache-2.0
// Collects the texts of errors from the sources of the package and of the host script.
import * as fs from "node:fs";
import { join } from "node:path";
import * as ts from "typescript";

/** Stands in a text for whatever differs from one error to the next. */
const GAP = "…";

/** Functions and classes of src/ whose argument is the text of an error or a warning. */
const speakers = ["Error", "Unreached", "misused", "Problem", "ResourceError", "RunError", "warn"];

export interface ErrorText {
  readonly path: string;
  readonly text: string;
}

/** The errors of the host script: what `err`, `usage`, `finding` and `warn` print. */
export function scriptErrors(root: string): readonly ErrorText[] {
  return filesBelow(root, "host/script", ".sh").flatMap((path) => {
    const source = fs.readFileSync(join(root, path), "utf8");
    return callsIn(source).map((text) => ({ path, text }));
  });
}

function callsIn(source: string): string[] {
  const texts: string[] = [];
  for (const { index, 0: start } of source.matchAll(/(?:^|[\s({;&|])(?:err|usage|warn|problem|finding \w+) "/gm))
    texts.push(shellText(source.slice(index + start.length)));
  return texts.filter(isTelling);
}

/** A double-quoted text up to its end, with gaps for what the shell puts in. */
function shellText(rest: string): string {
  let text = "";
  for (let at = 0; at < rest.length && rest[at] !== '"'; at++) {
    const one = rest[at];
    if (one === "\\") text += rest[++at];
    else if (one === "$") {
      at = endOfExpansion(rest, at);
      text += GAP;
    } else text += one;
  }
  return clean(text);
}

function endOfExpansion(text: string, start: number): number {
  const open = text[start + 1];
  const close = open === "{" ? "}" : open === "(" ? ")" : undefined;
  if (close === undefined) return start + (/^(?:\w+|.)/.exec(text.slice(start + 1))?.[0].length ?? 0);
  let depth = 0;
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === open) depth++;
    if (text[at] === close && --depth === 0) return at;
  }
  return text.length;
}

/** The errors of the package: texts that are thrown or warned of. */
export function packageErrors(root: string): readonly ErrorText[] {
  return filesBelow(root, "src", ".ts").flatMap((path) => {
    const source = ts.createSourceFile(path, fs.readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);
    const texts: string[] = [];
    const named = namedIn(source);
    const visit = (node: ts.Node): void => {
      const isCall = ts.isNewExpression(node) || ts.isCallExpression(node);
      const name = isCall ? node.expression.getText(source).replace(/^.*\./, "") : "";
      if (isCall && speakers.includes(name))
        for (const word of node.arguments ?? []) texts.push(...textsOf(word, named));
      ts.forEachChild(node, visit);
    };
    visit(source);
    return [...new Set(texts)].map((text) => ({ path, text }));
  });
}

/** What the variables of a source are set to, because a long text often has a name. */
function namedIn(source: ts.SourceFile): ReadonlyMap<string, ts.Expression> {
  const named = new Map<string, ts.Expression>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined)
      named.set(node.name.text, node.initializer);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return named;
}

function textsOf(word: ts.Expression, named: ReadonlyMap<string, ts.Expression>): string[] {
  const whole = ts.isIdentifier(word) ? (named.get(word.text) ?? word) : word;
  return literals(whole).map(clean).filter(isTelling);
}

/** The texts that an expression may have. */
function literals(node: ts.Expression): string[] {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (ts.isTemplateExpression(node))
    return [[node.head.text, ...node.templateSpans.map(({ literal }) => `${GAP}${literal.text}`)].join("")];
  if (ts.isConditionalExpression(node)) return [...literals(node.whenTrue), ...literals(node.whenFalse)];
  if (ts.isParenthesizedExpression(node)) return literals(node.expression);
  if (ts.isBinaryExpression(node))
    return literals(node.left).flatMap((left) => literals(node.right).map((right) => left + right));
  return [];
}

/** Whether a text says something by itself, and not only around a gap or in its advice. */
function isTelling(text: string): boolean {
  const told = text.replace(/^note: /, "").replace(/[^A-Za-z;]/g, "");
  return told.length >= 16 && !told.startsWith(";");
}

function clean(text: string): string {
  return text
    .replace(/(?:…\s*)*…/g, GAP)
    .replace(/\s+/g, " ")
    .trim();
}

function filesBelow(root: string, folder: string, ending: string): string[] {
  return fs
    .readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => `${folder}/${name}`);
}
