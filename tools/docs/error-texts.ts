// SPDX-License-Identifier: Apache-2.0
// Collects the texts of errors from the sources of the package.
import * as fs from "node:fs";
import { join } from "node:path";
import * as ts from "typescript";
import { clean, type ErrorText, echoesIn, filesBelow, GAP, isTelling } from "./shell-texts";

/** Functions and classes of src/ whose argument is the text of an error or a warning. */
const speakers = ["Error", "Unreached", "misused", "Problem", "ResourceError", "RunError", "warn"];

/** Functions of src/ that give the text of an error. */
const phrasers = ["wordsOf", "silent"];

/** The errors of the package: texts that are thrown, warned of, or printed by a line on a host. */
export function packageErrors(root: string): readonly ErrorText[] {
  return filesBelow(root, "src", ".ts").flatMap((path) => {
    const source = ts.createSourceFile(path, fs.readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);
    return [...new Set(textsIn(source))].map((text) => ({ path, text }));
  });
}

function textsIn(source: ts.SourceFile): string[] {
  const texts: string[] = [];
  const named = namedIn(source);
  // The texts of arguments are on a page of their own.
  const isOfArguments = source.fileName.startsWith("src/args/");
  const visit = (node: ts.Node, isPhrase: boolean): void => {
    if (isSpeaking(node)) for (const word of node.arguments ?? []) texts.push(...textsOf(word, named));
    else if (isText(node) && !isPartOfText(node) && !isOfArguments) texts.push(...unspoken(node, named, isPhrase));
    else if (ts.isObjectLiteralExpression(node)) texts.push(...problemIn(node, named));
    const isNamed = ts.isFunctionDeclaration(node) || ts.isVariableDeclaration(node);
    const isPhraser = isNamed && phrasers.includes(node.name?.getText() ?? "");
    ts.forEachChild(node, (child) => visit(child, isPhrase || isPhraser));
  };
  visit(source, false);
  // A text that a call completes is there without its beginning too.
  return texts.filter((text) => !texts.some((other) => other !== text && other.endsWith(text)));
}

function isSpeaking(node: ts.Node): node is ts.NewExpression | ts.CallExpression {
  const isCall = ts.isNewExpression(node) || ts.isCallExpression(node);
  return isCall && speakers.includes(node.expression.getText().replace(/^.*\./, ""));
}

function isText(node: ts.Node): node is ts.Expression {
  const isSum = ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;
  return isSum || ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node);
}

function isPartOfText(node: ts.Node): boolean {
  return ts.isBinaryExpression(node.parent) && isText(node.parent);
}

/** Texts that are errors by their words, wherever they stand. */
function unspoken(node: ts.Expression, named: Named, isPhrase: boolean): string[] {
  const whole = literals(node, named).filter(
    (text) => (isPhrase && text.includes(" ")) || /\bexpected .*\bfound\b|\bexpected an?\b/.test(text),
  );
  return whole.flatMap((text) => {
    const echoes = echoesIn(text);
    if (echoes.length > 0) return echoes;
    return isShell(text) ? [] : [clean(text.replace(/^: /, `${GAP}: `))].filter(isTelling);
  });
}

function isShell(text: string): boolean {
  return /\becho "|>&2/.test(text);
}

/** A wrong argument that is found outside src/args. */
function problemIn(node: ts.ObjectLiteralExpression, named: Named): string[] {
  const parts = new Map(
    node.properties.flatMap((one) => {
      if (ts.isShorthandPropertyAssignment(one)) return [[one.name.text, one.name as ts.Expression] as const];
      return ts.isPropertyAssignment(one) ? [[one.name.getText(), one.initializer] as const] : [];
    }),
  );
  const [expected, found, fix] = ["expected", "found", "fix"].map((name) => parts.get(name));
  if (expected === undefined || found === undefined || fix === undefined) return [];
  return literals(expected, named).flatMap((what) =>
    literals(fix, named).map((how) => `${GAP}: expected ${what}, found ${GAP}; ${how}`),
  );
}

type Named = ReadonlyMap<string, ts.Expression>;

/** What the variables of a source are set to, because a long text often has a name. */
function namedIn(source: ts.SourceFile): Named {
  const named = new Map<string, ts.Expression>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined)
      named.set(node.name.text, node.initializer);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return named;
}

function textsOf(word: ts.Expression, named: Named): string[] {
  return literals(word, named).map(clean).filter(isTelling);
}

/** The texts that an expression may have. */
function literals(node: ts.Expression, named: Named): string[] {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (ts.isTemplateExpression(node))
    return [[node.head.text, ...node.templateSpans.map(({ literal }) => `${GAP}${literal.text}`)].join("")];
  if (ts.isConditionalExpression(node)) return [...literals(node.whenTrue, named), ...literals(node.whenFalse, named)];
  if (ts.isParenthesizedExpression(node)) return literals(node.expression, named);
  if (ts.isIdentifier(node)) {
    const known = named.get(node.text);
    return known === undefined || ts.isIdentifier(known) ? [] : literals(known, named);
  }
  if (ts.isBinaryExpression(node))
    return literals(node.left, named).flatMap((left) => literals(node.right, named).map((right) => left + right));
  return [];
}
