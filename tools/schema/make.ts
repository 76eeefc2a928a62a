// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { fractions, secrets } from "./facts";
import { type Property, Reader } from "./reader";

/** What the schema says of a component. */
interface Component {
  readonly description: string;
  readonly isComponent: true;
  readonly inputProperties: Readonly<Record<string, Property>>;
  readonly requiredInputs: readonly string[];
  readonly properties: Readonly<Record<string, Property>>;
  readonly required: readonly string[];
}

/**
 * Makes schema.json from the public names of src/index.ts: its components, and the types that they
 * use. The SDK could infer one too, but it knows no integers, secrets, unions or descriptions of
 * types, and it would have to compile our sources on the user's machine.
 */
export function makeSchema(root: string): string {
  const about = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { program, entry } = compile(root);
  const checker = program.getTypeChecker();
  const reader = new Reader(checker, about.name, { secrets, fractions });
  const resources: Record<string, Component> = {};
  for (const symbol of checker.getExportsOfModule(entry)) {
    const itself = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declared = itself.valueDeclaration;
    if (declared === undefined || !ts.isClassDeclaration(declared)) continue;
    const args = declared.members.find(ts.isConstructorDeclaration)?.parameters[1]?.type;
    if (args === undefined) throw new Error(`${symbol.name}: expected a constructor (name, args, opts)`);
    const inputs = reader.inputsOf(args);
    const outputs = reader.outputsOf(declared);
    resources[`${about.name}:index:${symbol.name}`] = {
      description: reader.describe(itself),
      isComponent: true,
      inputProperties: inputs.properties,
      requiredInputs: inputs.required,
      properties: outputs.properties,
      required: outputs.required,
    };
  }
  reader.checkFacts();
  const { name, version, description, keywords, license, homepage } = about;
  const repository = webAddress(about.repository?.url);
  const schema = {
    ...{ name, version, displayName: "Socket Bypass", description, keywords, license, homepage, repository },
    language: languages(repository),
    resources,
    types: reader.types(),
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

/** Each SDK has the version of the schema. */
function languages(repository: string | undefined) {
  const importBasePath = repository && `${repository.replace("https://", "")}/sdk/go/socketbypass`;
  return {
    nodejs: { respectSchemaVersion: true },
    python: { respectSchemaVersion: true, pyproject: { enabled: true } },
    go: { respectSchemaVersion: true, importBasePath },
    csharp: { respectSchemaVersion: true },
    java: { respectSchemaVersion: true },
  };
}

/** The address that a browser can open, of a repository as package.json names it. */
function webAddress(url: string | undefined): string | undefined {
  return url?.replace(/^git\+/, "").replace(/\.git$/, "");
}

function compile(root: string) {
  const settings = ts.getParsedCommandLineOfConfigFile(join(root, "tsconfig.json"), undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
      throw new Error(ts.flattenDiagnosticMessageText(messageText, "\n"));
    },
  });
  const program = ts.createProgram([join(root, "src/index.ts")], settings?.options ?? {});
  const file = program.getSourceFile(join(root, "src/index.ts"));
  const entry = file === undefined ? undefined : program.getTypeChecker().getSymbolAtLocation(file);
  if (entry === undefined) throw new Error("src/index.ts: expected a module, found none");
  return { program, entry };
}
