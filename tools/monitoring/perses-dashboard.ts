// SPDX-License-Identifier: Apache-2.0
// The dashboard of Grafana in the words of Perses.

/** What monitoring/dashboard.json has. */
export interface GrafanaDashboard {
  readonly title: string;
  readonly panels: readonly GrafanaPanel[];
  readonly templating: { readonly list: readonly { name: string; label: string; type: string; query: string }[] };
}

interface GrafanaPanel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat?: string }[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly max?: number;
      readonly custom?: { readonly stacking?: { readonly mode: string } };
    };
  };
  readonly transformations?: readonly {
    readonly options: { readonly renameByName?: Readonly<Record<string, string>> };
  }[];
}

const units: Readonly<Record<string, object>> = {
  short: { unit: "decimal", shortValues: true },
  percentunit: { unit: "percent-decimal" },
  ops: { unit: "ops/sec", shortValues: true },
  Bps: { unit: "bytes/sec", shortValues: true },
};

/** The dashboard for a project of Perses, with a Prometheus that Perses reaches at this URL. */
export function toPerses(from: GrafanaDashboard, project: string, prometheus: string) {
  const layouts: { kind: "Grid"; spec: { display: object; items: object[] } }[] = [];
  const panels: Record<string, object> = {};
  let top = 0;
  for (const panel of from.panels) {
    const { x, y, w, h } = panel.gridPos;
    if (panel.type === "row") {
      layouts.push({ kind: "Grid", spec: { display: { title: panel.title, collapse: { open: true } }, items: [] } });
      top = y + 1;
      continue;
    }
    const key = `panel-${panel.id}`;
    panels[key] = panelOf(panel);
    const content = { $ref: `#/spec/panels/${key}` };
    layouts.at(-1)?.spec.items.push({ x, y: y - top, width: w, height: h, content });
  }
  const source = { kind: "PrometheusDatasource", spec: { scrapeInterval: "1m", proxy: proxyTo(prometheus) } };
  return {
    kind: "Dashboard",
    metadata: { name: "socket-bypass", project },
    spec: {
      ...{ display: { name: from.title }, duration: "40m", panels, layouts },
      variables: from.templating.list.filter(({ type }) => type === "query").map(variableOf),
      datasources: { prometheus: { default: true, plugin: source } },
    },
  };
}

function proxyTo(url: string): object {
  return { kind: "HTTPProxy", spec: { url } };
}

function panelOf(panel: GrafanaPanel): object {
  const queries = (panel.targets ?? []).map(({ expr, legendFormat }) => ({
    kind: "TimeSeriesQuery",
    spec: {
      plugin: {
        kind: "PrometheusTimeSeriesQuery",
        spec: { query: expr, ...(legendFormat && { seriesNameFormat: legendFormat }) },
      },
    },
  }));
  const display = { name: panel.title, description: panel.description ?? "" };
  return { kind: "Panel", spec: { display, plugin: pluginOf(panel), queries } };
}

function pluginOf(panel: GrafanaPanel): object {
  const { unit = "short", max, custom } = panel.fieldConfig?.defaults ?? {};
  const format = units[unit];
  if (format === undefined) throw new Error(`dashboard.json: expected a unit that Perses has, found ${unit}`);
  if (panel.type === "stat") return { kind: "StatChart", spec: { calculation: "last-number", format } };
  if (panel.type === "table") return tableOf(panel);
  if (panel.type !== "timeseries") throw new Error(`dashboard.json: expected a known panel, found ${panel.type}`);
  const isStacked = (custom?.stacking?.mode ?? "none") !== "none";
  return {
    kind: "TimeSeriesChart",
    spec: {
      legend: { position: "bottom", mode: "list" },
      yAxis: { format, min: 0, ...(max !== undefined && { max }) },
      visual: { ...{ display: "line", lineWidth: 1.5 }, ...(isStacked && { areaOpacity: 0.5, stack: "all" }) },
    },
  };
}

/** One line for each installation, as by Grafana's transformations `merge` and `organize`. */
function tableOf({ targets = [], transformations = [] }: GrafanaPanel): object {
  const names = transformations.find(({ options }) => options.renameByName)?.options.renameByName ?? {};
  const keys = ["instance", "exported_instance"];
  const columns = targets.map(({ refId, expr }, at) => ({
    ...{ name: `value #${at + 1}`, header: names[`Value #${refId}`] ?? refId },
    format: / \/ .*(> 0|max_sockets)/.test(expr) ? units.percentunit : { unit: "decimal", decimalPlaces: 0 },
  }));
  return {
    kind: "Table",
    spec: {
      density: "compact",
      columnSettings: [
        { name: "timestamp", hide: true },
        ...keys.map((name) => ({ name, header: names[name] ?? name })),
        ...columns,
      ],
      transforms: [{ kind: "MergeSeries", spec: {} }],
    },
  };
}

function variableOf({ name, label, query }: { name: string; label: string; query: string }): object {
  const [, matcher, labelName] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
  if (labelName === undefined) throw new Error(`dashboard.json: expected label_values, found ${query}`);
  return {
    kind: "ListVariable",
    spec: {
      ...{ name, display: { name: label }, allowMultiple: true, allowAllValue: true, customAllValue: ".*" },
      ...{ defaultValue: "$__all", sort: "alphabetical-asc" },
      plugin: { kind: "PrometheusLabelValuesVariable", spec: { labelName, matchers: [matcher] } },
    },
  };
}
