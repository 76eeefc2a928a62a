# SPDX-License-Identifier: Apache-2.0
"""
metrics.py openmetrics|text: reads metrics on stdin with the parsers of the Prometheus project, and
prints their families as JSON.
"""
import importlib
import json
import sys

module = {"openmetrics": "prometheus_client.openmetrics.parser", "text": "prometheus_client.parser"}[sys.argv[1]]
families = list(importlib.import_module(module).text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(set(names)) == len(names), names
samples = [[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]
types = {family.name: [family.type, family.unit, any(map(str.isalpha, family.documentation))] for family in families}
print(json.dumps({"types": types, "samples": samples}))
