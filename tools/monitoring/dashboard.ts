// SPDX-License-Identifier: Apache-2.0
// Makes the dashboard of Grafana from the panels. Its types are those of Grafana's own schema, so
// that the compiler checks each property.
import type { Dashboard, Panel as DashboardPanel, RowPanel, ThresholdsConfig, VariableModel } from "@grafana/schema";
import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  DashboardCursorSync,
  FieldColorModeId,
  LegendDisplayMode,
  MappingType,
  PercentChangeColorMode,
  SortOrder,
  StackingMode,
  ThresholdsMode,
  TooltipDisplayMode,
  VariableRefresh,
  VariableSort,
  VizOrientation,
} from "@grafana/schema";
import type { Options as TileOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as TableOptions } from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as GraphFields,
  Options as GraphOptions,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import { type Graph, type HostTable, type Panel, rows, type Tile } from "./panels";

const source = { type: "prometheus", uid: "$datasource" };
const heights: Readonly<Record<Panel["kind"], number>> = { tile: 4, graph: 8, hosts: 9 };
const heightOf = (panel: Panel) => panel.height ?? heights[panel.kind];
const columns = 24;

/** What stands for $F and $H in an expression. */
const hostFilter = 'job=~"$job",instance=~"$instance"';
const filter = `${hostFilter},exported_instance=~"$installation"`;

export function makeDashboard(): Dashboard {
  const panels: (DashboardPanel | RowPanel)[] = [];
  let [id, y] = [1, 0];
  for (const row of rows) {
    panels.push({
      id: id++,
      type: "row",
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: at(0, y++, columns, 1),
    });
    let [x, height] = [0, 0];
    for (const panel of row.panels) {
      if (x + panel.width > columns) [x, y, height] = [0, y + height, 0];
      panels.push({ id: id++, gridPos: at(x, y, panel.width, heightOf(panel)), ...draw(panel) });
      x += panel.width;
      height = Math.max(height, heightOf(panel));
    }
    y += height;
  }
  return {
    uid: "socket-bypass",
    title: "socket-bypass",
    description: "Hosts and nodes whose TCP connections skip the TCP/IP stack. Made by tools/monitoring/main.ts.",
    tags: ["socket-bypass"],
    schemaVersion: 39,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: { list: variables },
    panels,
  };
}

const variables: VariableModel[] = [
  {
    name: "datasource",
    label: "Data source",
    type: "datasource",
    query: "prometheus",
    refresh: VariableRefresh.onDashboardLoad,
  },
  choice("job", "Job", "label_values(socket_bypass_healthy, job)"),
  choice("instance", "Host", 'label_values(socket_bypass_healthy{job=~"$job"}, instance)'),
  choice("installation", "Installation", `label_values(socket_bypass_healthy{${hostFilter}}, exported_instance)`),
];

function choice(name: string, label: string, query: string): VariableModel {
  return {
    ...{ name, label, type: "query", datasource: source },
    query,
    // A scrape with honor_labels leaves no label exported_instance, which this also matches.
    ...{ multi: true, includeAll: true, allValue: ".*", current: { text: "All", value: "$__all" } },
    ...{ refresh: VariableRefresh.onTimeRangeChanged, sort: VariableSort.alphabeticalAsc },
  };
}

function at(x: number, y: number, w: number, h: number) {
  return { x, y, w, h };
}

function draw(panel: Panel): DashboardPanel {
  const { title, description } = panel;
  const base = { title, description, datasource: source };
  if (panel.kind === "tile") return { ...base, ...drawTile(panel) };
  return { ...base, ...(panel.kind === "graph" ? drawGraph(panel) : drawHosts(panel)) };
}

/** Fills in the filters. */
export function expression(expr: string): string {
  return expr.replaceAll("$F", filter).replaceAll("$H", hostFilter);
}

function target(expr: string, at: number, more: object): Record<string, unknown> {
  return { refId: String.fromCharCode(65 + at), datasource: source, expr: expression(expr), ...more };
}

function thresholds({ colors = [["text", null]] }: Pick<Tile, "colors">): ThresholdsConfig {
  return { mode: ThresholdsMode.Absolute, steps: colors.map(([color, value]) => ({ color, value })) };
}

function drawTile(tile: Tile): DashboardPanel {
  const options: TileOptions = {
    colorMode: BigValueColorMode.Value,
    graphMode: BigValueGraphMode.Area,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: BigValueTextMode.Auto,
    percentChangeColorMode: PercentChangeColorMode.Standard,
    orientation: VizOrientation.Auto,
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    ...{ showPercentChange: false, wideLayout: true },
  };
  const { unit = "short", noValue } = tile;
  return {
    type: "stat",
    targets: tile.queries.map(({ expr }, at) => target(expr, at, {})),
    fieldConfig: {
      defaults: {
        ...{ unit, decimals: unit === "percentunit" ? 1 : 0, thresholds: thresholds(tile) },
        ...(noValue !== undefined && { noValue }),
        color: { mode: FieldColorModeId.Thresholds },
      },
      overrides: [],
    },
    options: { ...options },
  };
}

function drawGraph(graph: Graph): DashboardPanel {
  const options: GraphOptions = {
    legend: { displayMode: LegendDisplayMode.List, placement: "bottom", showLegend: true, calcs: [] },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending },
  };
  const custom: GraphFields = {
    ...{ lineWidth: 1, fillOpacity: graph.isStacked ? 30 : 0 },
    ...(graph.isStacked && { stacking: { mode: StackingMode.Normal, group: "A" } }),
  };
  return {
    type: "timeseries",
    targets: graph.queries.map(({ expr, legend = "" }, at) => target(expr, at, { legendFormat: legend })),
    fieldConfig: {
      defaults: {
        ...{ unit: graph.unit ?? "short", min: 0, custom: { ...custom } },
        ...(graph.max !== undefined && { max: graph.max }),
        color: { mode: FieldColorModeId.PaletteClassic },
      },
      overrides: [],
    },
    options: { ...options },
  };
}

function drawHosts(table: HostTable): DashboardPanel {
  const options: TableOptions = { frameIndex: 0, showHeader: true, sortBy: [{ displayName: "Healthy", desc: false }] };
  const names = table.queries.map(({ legend = "" }) => legend);
  const values = names.map((name, at): [string, string] => [`Value #${String.fromCharCode(65 + at)}`, name]);
  const override = (name: string, ...properties: { id: string; value: unknown }[]) => ({
    matcher: { id: "byName", options: name },
    properties,
  });
  const words = (no: string, yes: string, noColor: string, yesColor: string) => [
    {
      id: "mappings",
      value: [
        {
          type: MappingType.ValueToText,
          options: { 0: { text: no, color: noColor, index: 0 }, 1: { text: yes, color: yesColor, index: 1 } },
        },
      ],
    },
    { id: "custom.cellOptions", value: { type: "color-text" } },
  ];
  return {
    type: "table",
    targets: table.queries.map(({ expr }, at) => target(expr, at, { format: "table", instant: true, range: false })),
    transformations: [
      { id: "merge", options: {} },
      {
        id: "organize",
        options: {
          excludeByName: { Time: true },
          indexByName: {},
          renameByName: { instance: "Host", exported_instance: "Installation", ...Object.fromEntries(values) },
        },
      },
    ],
    fieldConfig: {
      defaults: { unit: "short", decimals: 0 },
      overrides: [
        override("Healthy", ...words("no", "yes", "red", "green")),
        override("Drained", ...words("no", "yes", "text", "orange")),
        override("Bypassed", { id: "unit", value: "percentunit" }, { id: "decimals", value: 1 }),
        override("Room used", { id: "unit", value: "percentunit" }, { id: "decimals", value: 1 }),
      ],
    },
    options: { ...options },
  };
}
