// SPDX-License-Identifier: Apache-2.0
// Reads from the sources what a program can give and gets: interfaces, components and choices.
import * as fs from "node:fs";
import { join } from "node:path";
import * as ts from "typescript";

export interface Property {
  readonly name: string;
  /** The type as the source has it, without pulumi.Input or pulumi.Output. */
  readonly type: string;
  /** Whether an Output may be given for it. */
  readonly isInput: boolean;
  readonly isOptional: boolean;
  readonly text: string;
}

export interface Declaration {
  readonly name: string;
  readonly kind: "interface" | "component" | "choice";
  readonly text: string;
  /** Names of the interfaces that it extends. */
  readonly bases: readonly string[];
  /** For a choice, its words. */
  readonly properties: readonly Property[];
}

export type Declarations = ReadonlyMap<string, Declaration>;

/** All exported declarations of these folders, by their names, which must be unique. */
export function readDeclarations(folders: readonly string[]): Declarations {
  const found = new Map<string, Declaration>();
  const paths = folders.flatMap((folder) => fs.readdirSync(folder).map((name) => join(folder, name)));
  for (const path of paths) {
    if (!path.endsWith(".ts")) continue;
    const source = ts.createSourceFile(path, fs.readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
    for (const statement of source.statements) {
      const declaration = isExported(statement) ? read(statement, source) : undefined;
      if (declaration === undefined) continue;
      if (found.has(declaration.name)) throw new Error(`${path}: expected one ${declaration.name}, found another`);
      found.set(declaration.name, declaration);
    }
  }
  return found;
}

/** The properties of an interface, those that it inherits included. */
export function propertiesOf(name: string, all: Declarations): readonly Property[] {
  const one = all.get(name);
  if (one === undefined) return [];
  const own = new Map(
    one.bases.flatMap((base) => propertiesOf(base, all)).map((property) => [property.name, property]),
  );
  for (const property of one.properties) own.set(property.name, property);
  return [...own.values()];
}

function read(statement: ts.Statement, source: ts.SourceFile): Declaration | undefined {
  const text = docOf(statement);
  if (ts.isInterfaceDeclaration(statement)) {
    const bases = (statement.heritageClauses ?? []).flatMap(({ types }) => types.map((type) => type.getText(source)));
    const properties = statement.members.filter(ts.isPropertySignature).map((member) => propertyOf(member, source));
    return { name: statement.name.text, kind: "interface", text, bases, properties };
  }
  if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
    const isComponent = statement.heritageClauses?.some(({ types }) =>
      types.some((type) => type.getText(source) === "pulumi.ComponentResource"),
    );
    if (!isComponent) return undefined;
    const properties = statement.members
      .filter(ts.isPropertyDeclaration)
      .filter((member) => member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PublicKeyword))
      .map((member) => propertyOf(member, source));
    return { name: statement.name.text, kind: "component", text, bases: [], properties };
  }
  return ts.isVariableStatement(statement) ? choiceOf(statement, text) : undefined;
}

/** A constant object of words, such as Machine. */
function choiceOf(statement: ts.VariableStatement, text: string): Declaration | undefined {
  const [one] = statement.declarationList.declarations;
  const value = one?.initializer;
  if (one === undefined || !ts.isIdentifier(one.name) || value === undefined || !ts.isAsExpression(value))
    return undefined;
  if (!ts.isObjectLiteralExpression(value.expression)) return undefined;
  const words = value.expression.properties.filter(ts.isPropertyAssignment);
  if (words.length === 0 || !words.every(({ initializer }) => ts.isStringLiteral(initializer))) return undefined;
  const properties = words.map((word) => {
    const name = ts.isStringLiteral(word.initializer) ? word.initializer.text : "";
    return { name, type: "string", isInput: false, isOptional: true, text: docOf(word) };
  });
  return { name: one.name.text, kind: "choice", text, bases: [], properties };
}

function propertyOf(member: ts.PropertySignature | ts.PropertyDeclaration, source: ts.SourceFile): Property {
  const given = member.type?.getText(source).replace(/\s+/g, " ") ?? "";
  const type = given.replace(/pulumi\.(Input|Output)<(.*)>$/, "$2");
  return {
    name: member.name.getText(source),
    type: withoutInputs(type),
    isInput: type !== given,
    isOptional: member.questionToken !== undefined,
    text: docOf(member),
  };
}

function withoutInputs(type: string): string {
  const shorter = type.replace(/pulumi\.(?:Input|Output)<((?:[^<>]|<[^<>]*>)*)>/g, "$1");
  return shorter === type ? type : withoutInputs(shorter);
}

function isExported(statement: ts.Statement): boolean {
  if (!ts.canHaveModifiers(statement)) return false;
  const isInternal = ts.getJSDocTags(statement).some(({ tagName }) => tagName.text === "internal");
  return !isInternal && (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false);
}

function docOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const text = typeof comment?.comment === "string" ? comment.comment : "";
  return text.replace(/\s+/g, " ").trim();
}
