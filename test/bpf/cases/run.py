# SPDX-License-Identifier: Apache-2.0
"""
usage: python3 run.py MODULE FUNCTION ARGUMENT…; prints the result as one line of JSON, or a
traceback and exits with 1.
"""
import faulthandler
import importlib
import json
import os
import sys

# If the case hangs, this prints where.
faulthandler.dump_traceback_later(float(os.environ.get("CASE_SECONDS", "60")), exit=True)
module, function, *arguments = sys.argv[1:]
result = getattr(importlib.import_module(module), function)(*arguments)
print(json.dumps(result or {}), flush=True)
