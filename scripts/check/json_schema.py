#!/usr/bin/env python3
"""Checks the output of every command with --json against docs/json.schema.json.

    scripts/check/json_schema.py BINARY PHOTOS

Run it in an empty folder; PHOTOS is a source. Needs the package jsonschema.
"""
import json, pathlib, subprocess, sys
import jsonschema

program, photos = sys.argv[1:]
schema = json.loads((pathlib.Path(__file__).parent.parent.parent / "docs/json.schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
lines = [
    f"run {photos} --model scattering -o a.jpg --dry-run",
    f"run {photos} --model scattering -o a.jpg",
    "run", "embed", "project", "assign", "render", "status", "status --perplexity 4 --check", "config", "sources", "verify",
    "gc --dry-run", "export all.csv", "search no-such-word", "sample other --images 5", "run nowhere", "run --modle x", "fly",
    "assign --input cache/latest/project.parquet", "render --input cache/latest/assign.parquet -o own.jpg",
    "project --input none.parquet", "demo --images 20",
]
for line in lines:
    ran = subprocess.run([program, *line.split(), "--json"], capture_output=True, text=True)
    answer = json.loads(ran.stdout)
    validator.validate(answer)
    assert answer["exit"] == ran.returncode, line
    print(f"{ran.returncode:3} {line}")
