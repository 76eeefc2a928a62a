// SPDX-License-Identifier: Apache-2.0
/**
 * The parts of programs that the pages show. Not proven here: that they do what the page says; the
 * tests of the examples and the end-to-end tests prove that of most.
 */
import { dirname, join } from "node:path";
import * as ts from "typescript";
import { beforeAll, expect, test } from "vitest";
import { type Block, blocksOf, listPages, root } from "./pages";

/** Types of Pulumi whose properties a page may show; prelude.ts declares them. */
const ofPulumi = ["Mocks"];

/**
 * A block is a whole program if it imports something. It is properties if it begins with one: of
 * the arguments of SocketBypass, or of what stands behind the fence, as in ```ts NodePool. A file
 * of a project has its path there, and imports other files of its page.
 * Otherwise it is statements.
 */
function programOf({ text, info }: Block): string {
  if (/^import /m.test(text) || isFile(info)) return text;
  if (!/^(?:\s*\/\/.*\n)*\s*(?:["\w]+\s*:|\.\.\.)/.test(text)) return `${text}\nexport {};\n`;
  const type = info === "" ? "SocketBypassArgs" : info;
  const imports = ofPulumi.includes(type) ? "" : `import type { ${type} } from "socket-bypass";\n`;
  return `${imports}export const some: Partial<${type}> = {\n${text}\n};\n`;
}

/** Whether a block is a file of a project, as in ```ts vitest/stack.test.ts. */
const isFile = (info: string) => info.endsWith(".ts");

/** What pages show to those who know the package already may assume what prelude.ts declares. */
const isForNewcomers = ({ at }: Block) => /^(README\.md|docs\/(tutorials\/.*|_index|installation\S*)\.md):/.test(at);
const prelude = join(__dirname, "prelude.ts");
/** Packages, and the components of this one; prelude.ts declares them before the values. */
const packages = ["pulumi", "kubernetes", "SocketBypass", "BypassHost", "BypassNodePool", "expect"];

/** The values of prelude.ts that a program uses. */
function assumedIn(file: ts.SourceFile, checker: ts.TypeChecker): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const isShort = ts.isShorthandPropertyAssignment(node.parent);
      const symbol = isShort
        ? checker.getShorthandAssignmentValueSymbol(node.parent)
        : checker.getSymbolAtLocation(node);
      const isDeclaredThere = symbol?.declarations?.some((one) => one.getSourceFile().fileName === prelude) ?? false;
      if (isDeclaredThere && !packages.includes(node.text)) found.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** Compiles programs that exist in memory only. */
function compile(programs: ReadonlyMap<string, string>): ts.Program {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  Object.assign(options, {
    ...{ noEmit: true, declaration: false, rootDir: root, skipLibCheck: true, noUnusedLocals: false },
    paths: { "socket-bypass": [join(root, "src/index.ts")] },
  });
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  const folders = new Set([...programs.keys()].map(dirname));
  host.fileExists = (path) => programs.has(path) || fileExists(path);
  host.directoryExists = (path) => folders.has(path) || (directoryExists?.(path) ?? false);
  host.readFile = (path) => programs.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...more) => {
    const text = programs.get(path);
    return text === undefined ? getSourceFile(path, ...more) : ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  };
  return ts.createProgram([...programs.keys(), prelude], options, host);
}

/** A message for each fault. */
function faultsOf(program: ts.Program): string[] {
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    return `${file?.fileName ?? "?"}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}

/** The files of a project stand in a folder of their page. */
function fileOf({ at, info }: Block): string {
  const name = (isFile(info) ? at.replace(/:\d+$/, "") : at).replace(/[^A-Za-z0-9]+/g, "-");
  return join(root, "test/docs", isFile(info) ? `${name}/${info}` : `${name}.ts`);
}

const blocks = listPages()
  .flatMap(blocksOf)
  .filter(({ language }) => language === "ts");
const wrong: Block = { at: "wrong", language: "ts", info: "", text: "traffic: { port: 1 }," };
const assuming: Block = {
  at: "assuming",
  language: "ts",
  info: "Host",
  text: "connection: { ...connection, hostKey },",
};
let program: ts.Program;
beforeAll(() => {
  program = compile(new Map([...blocks, wrong, assuming].map((block) => [fileOf(block), programOf(block)])));
}, 120_000);

test("TypeScript compiles", () => {
  expect(blocks.length).toBeGreaterThan(10);
  const named = faultsOf(program).map((fault) => {
    const block = [...blocks, wrong].find((one) => fault.startsWith(`${fileOf(one)}:`));
    return block === undefined ? fault : `${block.at}${fault.slice(fileOf(block).length)}`;
  });
  expect(named.filter((fault) => !fault.startsWith("wrong: "))).toEqual([]);
  expect(named).toContainEqual(expect.stringMatching(/^wrong: .*'port' does not exist/));
}, 120_000);

test("a program for newcomers names nothing that its page does not show", () => {
  const checker = program.getTypeChecker();
  const assumed = (block: Block) => {
    const file = program.getSourceFile(fileOf(block));
    if (file === undefined) throw new Error(`${block.at}: expected it among the programs`);
    return assumedIn(file, checker).map((name) => `${block.at}: ${name}`);
  };
  const shown = blocks.filter(isForNewcomers);
  expect(shown.length).toBeGreaterThan(6);
  expect(shown.flatMap(assumed)).toEqual([]);
  expect(assumed(assuming)).toEqual(["assuming: connection", "assuming: hostKey"]);
});

test("no two hosts of a program have the same host key", () => {
  const keysOf = ({ text }: Block) =>
    [...text.matchAll(/\bconnection: \{.*?\bhostKey\b(?:: *("[^"]*"|\w+))?/g)].map(([, key = "hostKey"]) => key);
  const shared = blocks.filter((block) => new Set(keysOf(block)).size < keysOf(block).length);
  expect(shared.map(({ at }) => at)).toEqual([]);
  expect(blocks.filter((block) => keysOf(block).length > 1).length).toBeGreaterThan(1);
});
