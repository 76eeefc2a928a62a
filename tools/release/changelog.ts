// SPDX-License-Identifier: Apache-2.0

/** What speaks against releasing `version` with this CHANGELOG.md; empty if nothing does. */
export function faultsOf(changelog: string, version: string): string[] {
  const faults: string[] = [];
  const headings = [...changelog.matchAll(/^## \[([^\]]+)\](?: - (.*))?$/gm)].map(([, name, date]) => ({ name, date }));
  if (headings[0]?.name !== "Unreleased") faults.push("expected ## [Unreleased] as the first heading");
  const newest = headings[1];
  if (newest?.name !== version) {
    faults.push(`expected ## [${version}] after ## [Unreleased], found ${newest ? `## [${newest.name}]` : "nothing"}`);
  } else if (!/^\d{4}-\d{2}-\d{2}$/.test(newest.date ?? "")) {
    faults.push(`## [${version}]: expected a date such as 2026-12-01, found ${newest.date ?? "none"}`);
  }
  if (headings.length > 1 && sectionOf(changelog, "Unreleased").trim() !== "")
    faults.push(`## [Unreleased]: expected nothing there; move it to ## [${version}]`);
  if (newest?.name === version && !/^- /m.test(sectionOf(changelog, version)))
    faults.push(`## [${version}]: expected a list of changes, found none`);
  for (const { name } of headings)
    if (!changelog.includes(`\n[${name}]: https://`))
      faults.push(`## [${name}]: expected its link at the end, found none`);
  return faults;
}

/** The text below a version's heading. */
export function sectionOf(changelog: string, version: string): string {
  const from = changelog.indexOf(`\n## [${version}]`);
  const [, ...lines] = changelog.slice(from + 1).split("\n");
  const end = lines.findIndex((line) => /^(## |\[[^\]]+\]: )/.test(line));
  return lines.slice(0, end < 0 ? undefined : end).join("\n");
}
