#!/usr/bin/env python3
"""Figures of the release binary: size, start-up, an empty tile, and a night over millions of events.

    cargo build --release && python3 tests/bench/figures.py [--events 2000000] [--distinct 0.4] [--keep DIR]

Prints wall time, CPU time and peak memory of whole processes. Where the `duckdb` package is there, the same hunt runs in
DuckDB over the same files in the same run, and the ratio is printed; the rows found are compared first.
Nothing here is part of the tests: times depend on the machine.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(ROOT, "target", "release", "lakehunt")


def run(arguments, cwd=ROOT, expect=0):
    """Wall seconds, CPU seconds and peak MiB of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode != expect:
        sys.exit(f"{arguments} ended with {process.returncode}: {errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def figures(name, arguments, runs, **options):
    measured = [run(arguments, **options) for _ in range(runs)]
    walls = [m[0] for m in measured]
    print(
        f"{name:44}  wall min {min(walls):7.3f} s  median {statistics.median(walls):7.3f} s  max {max(walls):7.3f} s"
        f"  cpu {min(m[1] for m in measured):7.3f} s  peak {max(m[2] for m in measured):7.1f} MiB"
    )
    return min(walls)


def job(folder, lake, hunts, at):
    path = os.path.join(folder, "bench.yaml")
    with open(path, "w") as file:
        file.write(
            f"lake: {lake}\nhunts: {{names: [{', '.join(hunts)}]}}\n"
            'grid: {cron: "0 2 * * *", earliest: "-1d@d", latest: "@d"}\n'
            f"at: {at}\noutput: {folder}/out\n"
        )
    return path


DUCKDB = """
import duckdb, sys
duckdb.sql("SET threads = 2; SET enable_progress_bar = false")
folder, day = sys.argv[1:]
rows = duckdb.sql(f'''
  SELECT count(DISTINCT (Computer, EventRecordID)) FROM read_ndjson('{folder}/sysmon/day={day}/*.gz', ignore_errors=true,
    columns={{EventID: 'BIGINT', Computer: 'VARCHAR', Image: 'VARCHAR', OriginalFileName: 'VARCHAR', CommandLine: 'VARCHAR',
             UtcTime: 'VARCHAR', EventRecordID: 'BIGINT', ParentCommandLine: 'VARCHAR', "User": 'VARCHAR'}})
  WHERE EventID = 1 AND CommandLine ILIKE '%node%'
    AND (lower(parse_filename(Image, false, 'both_slash')) = 'wmic.exe' OR lower(OriginalFileName) = 'wmic.exe')
''').fetchall()[0][0]
print(rows)
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--distinct", type=float, default=0.4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", help="use and keep this folder")
    options = parser.parse_args()
    if not os.path.exists(BINARY):
        sys.exit("build it first: cargo build --release")
    print(f"binary                                        {os.path.getsize(BINARY) / 2**20:7.1f} MiB")
    folder = options.keep or tempfile.mkdtemp(prefix="lakehunt-bench-")
    lake = os.path.join(folder, "lake")
    try:
        if not os.path.exists(os.path.join(lake, "answers.json")):
            wall, _, peak = run(
                [BINARY, "sample", lake, "--days", "1", "--events", str(options.events), "--distinct", str(options.distinct)]
            )
            print(f"sample: {options.events} events in {wall:.1f} s ({options.events / wall:,.0f} a second), peak {peak:.0f} MiB")
        size = sum(os.path.getsize(p) for p in glob.glob(f"{lake}/**/*", recursive=True) if os.path.isfile(p))
        print(f"lake: {size / 2**20:.0f} MiB on disk")
        figures("hunts list", [BINARY, "hunts", "list"], 10)
        night = ["wmiexec_shared_output_file", "remote_wmi_command_attempt", "wmic_remote_ip", "wmic_format"]
        path = job(folder, f"{lake}/lake.yaml", night, "2026-03-02T02:00:00Z")
        figures("run, an empty tile", [BINARY, "run", path], 5)
        path = job(folder, f"{lake}/lake.yaml", night, "2026-01-02T02:00:00Z")
        figures(f"run, four hunts, {options.events} events", [BINARY, "run", path], options.runs)
        path = job(folder, f"{lake}/lake.yaml", night[1:2], "2026-01-02T02:00:00Z")
        figures("run, one hunt", [BINARY, "run", path], options.runs)
        peer(folder, lake, options.runs)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def peer(folder, lake, runs):
    try:
        import duckdb
    except ImportError:
        print("duckdb is not installed: no peer (pip install duckdb)")
        return
    one = os.path.join(folder, "sysmon.yaml")
    with open(one, "w") as file:
        file.write(f'tables:\n  sysmon: {{location: {lake}/sysmon, form: windows_event, format: ndjson, layout: "day={{time:%Y-%m-%d}}/**"}}\n')
    path = job(folder, one, ["remote_wmi_command_attempt"], "2026-01-02T02:00:00Z")
    ours = subprocess.run([BINARY, "run", path, "--format", "json", "-q"], capture_output=True, check=True)
    found = sum(alert["event_count"] for alert in json.loads(ours.stdout)["alerts"])
    query = [sys.executable, "-c", DUCKDB, lake, "2026-01-01"]
    theirs = int(subprocess.run(query, capture_output=True, check=True).stdout)
    print(f"one hunt over sysmon as NDJSON.gz: lakehunt finds {found} events, DuckDB {duckdb.__version__} {theirs}")
    mine = figures("lakehunt", [BINARY, "run", path], runs)
    other = figures("duckdb", query, runs)
    print(f"ratio lakehunt / duckdb: {mine / other:.2f}")


if __name__ == "__main__":
    main()
