// SPDX-License-Identifier: Apache-2.0
// Draws the panels of the dashboard for the docs: `npx tsx tools/monitoring/picture.ts`. It needs
// Debian's packages prometheus and chromium. A real Prometheus holds what real installations have
// reported (test/monitoring/record.ts); its own console library draws the graphs, and headless
// Chromium takes the pictures. Grafana draws them differently.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expression } from "./dashboard";
import { type HostTable, type Panel, type Row, rows } from "./panels";
import { Prometheus } from "./prometheus";
import { readRecording } from "./recording";

const width = 1200;
const largest = 150_000;
const pictures = resolve(__dirname, "../../docs/how-to/monitoring");

/** The expression with all hosts chosen. */
const filled = (expr: string) =>
  expression(expr)
    .replaceAll(/\$(job|instance|installation)\b/g, ".*")
    .replaceAll("$__rate_interval", "5m");
const escaped = (text: string) => text.replace(/[&<>"]/g, (its) => `&#${its.charCodeAt(0)};`);
/** A text in a template of Go. */
const quoted = (text: string) => JSON.stringify(text);

function page(row: Row, seconds: number): string {
  return `<!doctype html>
<html lang="en">
{{ template "prom_console_head" }}
<meta charset="utf-8">
<style>
  body { margin: 0; padding: 8px; width: ${width - 16}px; font: 14px "DejaVu Sans", sans-serif; background: #fff }
  main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px }
  section { border: 1px solid #ddd; border-radius: 4px; padding: 6px 8px; overflow: hidden }
  h1 { font-size: 18px; margin: 0 0 8px } h2 { font-size: 13px; font-weight: 600; margin: 0 0 6px }
  .value { font-size: 30px } table.hosts { width: 100% } .hosts td, .hosts th { padding: 3px 8px; text-align: right }
  .hosts td:first-child, .hosts th:first-child { text-align: left }
</style>
<h1>${escaped(row.title)}</h1>
<main>${row.panels.map((panel, at) => section(panel, at, seconds)).join("\n")}</main>`;
}

function section(panel: Panel, at: number, seconds: number): string {
  const inside = { tile: tile, graph: graph, hosts: hosts }[panel.kind] as (
    panel: Panel,
    id: string,
    seconds: number,
  ) => string;
  return `<section style="grid-column: span ${panel.width}"><h2>${escaped(panel.title)}</h2>${inside(panel, `p${at}`, seconds)}</section>`;
}

function tile({ queries: [query], unit }: Panel): string {
  const shown = unit === "percentunit" ? "humanizePercentage" : unit === "Bps" ? "humanize1024" : "humanize";
  return `<div class="value">{{ range query ${quoted(filled(query?.expr ?? ""))} }}{{ .Value | ${shown} }}{{ end }}</div>`;
}

function graph(panel: Panel, id: string, seconds: number): string {
  const names = panel.queries.map(({ legend = "" }) => legend.replace(/\{\{(\w+)\}\}/g, "[[ $1 ]]"));
  const settings = {
    expr: panel.queries.map(({ expr }) => filled(expr)),
    name: names,
    ...{ height: 190, width: (width / 24) * panel.width - 90, duration: seconds, min: 0 },
    ...(panel.kind === "graph" && panel.max !== undefined && { max: panel.max }),
    renderer: panel.kind === "graph" && panel.isStacked ? "area" : "line",
    ...{ xTitle: "", colorScheme: "colorwheel" },
  };
  // The braces of a template would end the script.
  const text = JSON.stringify(settings).replaceAll("{{", "{ {").replaceAll("}}", "} }");
  return `<div id="${id}"></div><script>
new PromConsole.Graph(Object.assign(${text}, { node: document.getElementById("${id}") }));
</script>`;
}

/** One query gives the lines; the others are looked up by host. */
function hosts(panel: Panel): string {
  const { queries } = panel as HostTable;
  const cells = queries.map(({ expr, legend = "" }) => {
    const of = `(${filled(expr)}) and on (instance) (up{instance="%s"})`;
    const shown = ["Bypassed", "Room used"].includes(legend) ? "humanizePercentage" : "humanize";
    return `<td>{{ range query (printf ${quoted(of)} .Labels.instance) }}{{ .Value | ${shown} }}{{ end }}</td>`;
  });
  const heads = queries.map(({ legend = "" }) => `<th>${escaped(legend)}</th>`);
  return `<table class="hosts"><tr><th>Host</th>${heads.join("")}</tr>
{{ range query "max by (instance) (socket_bypass_healthy)" | sortByLabel "instance" }}
<tr><td>{{ .Labels.instance }}</td>${cells.join("")}</tr>{{ end }}</table>`;
}

async function main(): Promise<void> {
  const recording = readRecording();
  const seconds = (recording.scrapes - 1) * 60;
  const names = ["working", "ports", "why", "capacity", "hosts"];
  const pages = Object.fromEntries(rows.map((row, at) => [`${names[at]}.html`, page(row, seconds)]));
  const heights: Readonly<Record<string, number>> = { working: 445, ports: 650, why: 660, capacity: 360, hosts: 490 };
  const prometheus = await Prometheus.start(recording, [], pages);
  const folder = mkdtempSync(join(tmpdir(), "socket-bypass-pictures-"));
  try {
    mkdirSync(pictures, { recursive: true });
    for (const name of names.slice(0, rows.length)) {
      const file = join(folder, `${name}.png`);
      const flags = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--disable-gpu",
        `--user-data-dir=${folder}/profile`,
      ];
      const look = [`--window-size=${width},${heights[name]}`, "--virtual-time-budget=8000", `--screenshot=${file}`];
      execFileSync("chromium", [...flags, ...look, `${prometheus.url}/consoles/${name}.html`], { stdio: "ignore" });
      const { size } = statSync(file);
      if (size > largest) throw new Error(`${name}.png: expected at most ${largest} bytes, found ${size}`);
      copyFileSync(file, join(pictures, `${name}.png`));
      process.stderr.write(`picture: docs/how-to/monitoring/${name}.png, ${size} bytes\n`);
    }
  } finally {
    await prometheus.stop();
    rmSync(folder, { recursive: true });
  }
}

void main();
