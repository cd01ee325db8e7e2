#!/usr/bin/env python3
"""Labels of the real telemetry, as `lakehunt evaluate` reads them, on stdout.

    python3 tests/bench/ground_truth.py | lakehunt evaluate - --lake tests/lakes/real_telemetry.yaml

The telemetry lies in a folder beside the project and comes with answers of its own, `ground_truth.json`: which line of which
file matches which definition, by its letter. tests/lakes/real_telemetry_answers.json says which letters a hunt answers to,
what else it finds or misses and why, and which table of the lake a file is in. The tests read the same two files.
"""

import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAPPING = os.path.join(ROOT, "tests", "lakes", "real_telemetry_answers.json")
TRUTH = os.path.join(os.path.dirname(ROOT), "shared", "data", "ground_truth.json")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def lines(truth, letters):
    """(file, line) of every event that matches one of the letters; those of sequences are their processes."""
    found = set()
    for name, answers in truth["files"].items():
        for letter in letters:
            found.update((name, hit["line"]) for hit in answers["hits"].get(letter, []))
            found.update((name, entry["e_line"]) for entry in answers["derived"].get(letter, []) if "e_line" in entry)
    return found


def place(mapping, name, line):
    for folder, prefix, table in mapping["tables"]:
        if name.startswith(prefix):
            return {"table": table, "file": name[len(folder):], "row": line}
    sys.exit(f"{MAPPING}: no table for {name}")


def labels(mapping, truth, hunt):
    def places(found):
        return [place(mapping, name, line) for name, line in sorted(found)]

    def named(one):
        return places(lines(truth, one.get("letters", [])) | {(one["file"], line) for line in one.get("lines", [])})

    said = {
        "context": [event for one in hunt.get("context", []) for event in named(one)],
        "explained": [{**event, "why": one["why"]} for one in hunt.get("explained", []) for event in named(one)],
    }
    if "letters" in hunt:
        said["events"] = places(lines(truth, hunt["letters"]))
    return said


def main():
    if not os.path.exists(TRUTH):
        sys.exit(f"{TRUTH} is not there")
    mapping, truth = load(MAPPING), load(TRUTH)
    json.dump({"hunts": {name: labels(mapping, truth, hunt) for name, hunt in mapping["hunts"].items()}}, sys.stdout)


if __name__ == "__main__":
    main()
