// SPDX-License-Identifier: Apache-2.0
import ts from "typescript";

/**
 * A property in Pulumi's schema:
 * https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/
 */
export interface Property {
  readonly description?: string;
  readonly type?: "string" | "integer" | "number" | "boolean" | "array" | "object";
  readonly $ref?: string;
  readonly items?: Property;
  readonly additionalProperties?: Property;
  readonly oneOf?: readonly Property[];
  /** A program must know the value when it runs, so it takes no Output. */
  readonly plain?: true;
  readonly secret?: true;
}

export interface Properties {
  readonly properties: Readonly<Record<string, Property>>;
  readonly required: readonly string[];
}

/** A type in Pulumi's schema. */
type Type =
  | ({ readonly description: string; readonly type: "object" } & Properties)
  | { readonly description: string; readonly type: "string"; readonly enum: readonly EnumValue[] };

interface EnumValue {
  readonly name: string;
  readonly value: string;
  readonly description: string;
}

export interface Facts {
  readonly secrets: readonly string[];
  readonly fractions: readonly string[];
}

/** Where a type stands, which decides whether a value without Input is plain. */
type Side = "input" | "output";

/** Reads interfaces and classes of TypeScript as Pulumi's schema has them. */
export class Reader {
  private readonly found = new Map<string, Type>();
  private readonly seen = new Set<string>();

  constructor(
    private readonly checker: ts.TypeChecker,
    private readonly packageName: string,
    private readonly facts: Facts,
  ) {}

  /** The properties of an interface of arguments. */
  inputsOf(node: ts.TypeNode): Properties {
    return this.properties(this.checker.getTypeFromTypeNode(node).getProperties(), "input");
  }

  /** The public properties that a class declares itself. */
  outputsOf(node: ts.ClassDeclaration): Properties {
    const own = node.members.filter(ts.isPropertyDeclaration).filter((member) => {
      const flags = ts.getCombinedModifierFlags(member);
      return (flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Static)) === 0;
    });
    return this.properties(
      own.map((member) => this.symbolAt(member.name)),
      "output",
    );
  }

  /** The types that were met, by token, in the order of their names. */
  types(): Record<string, Type> {
    const sorted = [...this.found].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([name, type]) => [this.token(name), type]));
  }

  /** The text of a doc comment; a line break inside a paragraph becomes a blank. */
  describe(symbol: ts.Symbol): string {
    const text = ts.displayPartsToString(symbol.getDocumentationComment(this.checker)).trim();
    if (text === "") throw new Error(`${symbol.name}: expected a doc comment, found none`);
    return text.replace(/(?<!\n)\n(?!\n|- )/g, " ");
  }

  /** Facts about properties that are gone would go unnoticed. */
  checkFacts(): void {
    const stale = [...this.facts.secrets, ...this.facts.fractions].filter((name) => !this.seen.has(name));
    if (stale.length > 0) throw new Error(`tools/schema/facts.ts: expected properties, found none: ${stale}`);
  }

  private properties(symbols: readonly ts.Symbol[], side: Side): Properties {
    const properties: Record<string, Property> = {};
    const required: string[] = [];
    for (const symbol of symbols) {
      const declared = symbol.valueDeclaration;
      if (declared === undefined || !(ts.isPropertySignature(declared) || ts.isPropertyDeclaration(declared)))
        throw new Error(`${symbol.name}: expected a property`);
      if (declared.type === undefined) throw new Error(`${symbol.name}: expected a declared type`);
      const name = `${ts.getNameOfDeclaration(declared.parent as ts.Declaration)?.getText()}.${symbol.name}`;
      this.seen.add(name);
      properties[symbol.name] = {
        description: this.describe(symbol),
        ...this.type(declared.type, side, name),
        ...(this.facts.secrets.includes(name) && { secret: true }),
      };
      if (declared.questionToken === undefined) required.push(symbol.name);
    }
    return { properties, required: required.sort() };
  }

  /** A type as it is written, because the checker has no Input, and no name of a union. */
  private type(node: ts.TypeNode, side: Side, name: string, isPlain = side === "input"): Property {
    const plain: { plain?: true } = isPlain ? { plain: true } : {};
    const inner = (one: ts.TypeNode) => this.type(one, side, name);
    if (ts.isParenthesizedTypeNode(node)) return this.type(node.type, side, name, isPlain);
    if (ts.isTypeOperatorNode(node)) return this.type(node.type, side, name, isPlain); // readonly
    if (ts.isArrayTypeNode(node)) return { type: "array", items: inner(node.elementType), ...plain };
    // A union may not be plain; those of its types are.
    if (ts.isUnionTypeNode(node)) return { oneOf: node.types.map((one) => this.type(one, side, name, isPlain)) };
    switch (node.kind) {
      case ts.SyntaxKind.StringKeyword:
        return { type: "string", ...plain };
      case ts.SyntaxKind.BooleanKeyword:
        return { type: "boolean", ...plain };
      case ts.SyntaxKind.NumberKeyword:
        return { type: this.facts.fractions.includes(name) ? "number" : "integer", ...plain };
    }
    if (!ts.isTypeReferenceNode(node)) throw new Error(`${name}: no such type in a schema: ${node.getText()}`);
    const [first, second] = node.typeArguments ?? [];
    const called = node.typeName.getText();
    if (/^(pulumi\.)?(Input|Output)$/.test(called) && first !== undefined) return this.type(first, side, name, false);
    if (called === "Record" && second !== undefined)
      return { type: "object", additionalProperties: inner(second), ...plain };
    return { $ref: `#/types/${this.token(this.define(node.typeName, side))}`, ...plain };
  }

  /** Defines the interface or the enumeration that has this name, and returns its own name. */
  private define(at: ts.EntityName, side: Side): string {
    const symbol = this.symbolAt(at);
    if (this.found.has(symbol.name)) return symbol.name;
    const description = this.describe(symbol);
    const constant = symbol.valueDeclaration;
    if (constant !== undefined && ts.isVariableDeclaration(constant)) {
      this.found.set(symbol.name, { description, type: "string", enum: this.enumValues(constant) });
      return symbol.name;
    }
    const type = this.checker.getDeclaredTypeOfSymbol(symbol);
    if (!type.isClassOrInterface()) throw new Error(`${symbol.name}: expected an interface or an enumeration`);
    // Its name is known before its properties are read, so that it may contain itself.
    this.found.set(symbol.name, { description, type: "object", properties: {}, required: [] });
    this.found.set(symbol.name, { description, type: "object", ...this.properties(type.getProperties(), side) });
    return symbol.name;
  }

  /** The values of `const Name = { One: "one" } as const`. */
  private enumValues({ name, initializer }: ts.VariableDeclaration): EnumValue[] {
    const literal = initializer !== undefined && ts.isAsExpression(initializer) ? initializer.expression : initializer;
    if (literal === undefined || !ts.isObjectLiteralExpression(literal))
      throw new Error(`${name.getText()}: expected an object literal of strings`);
    return literal.properties.map((member) => {
      if (!ts.isPropertyAssignment(member) || !ts.isStringLiteral(member.initializer))
        throw new Error(`${name.getText()}: expected an object literal of strings`);
      const symbol = this.symbolAt(member.name);
      return { name: symbol.name, value: member.initializer.text, description: this.describe(symbol) };
    });
  }

  /** What a name stands for, where it is declared. */
  private symbolAt(node: ts.Node): ts.Symbol {
    const symbol = this.checker.getSymbolAtLocation(node);
    if (symbol === undefined) throw new Error(`${node.getText()}: expected a name that is declared`);
    return symbol.flags & ts.SymbolFlags.Alias ? this.checker.getAliasedSymbol(symbol) : symbol;
  }

  private token(name: string): string {
    return `${this.packageName}:index:${name}`;
  }
}
