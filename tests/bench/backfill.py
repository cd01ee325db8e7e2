#!/usr/bin/env python3
"""What history costs: a backfill of a year against one run over it and against a process a day, and a look that finds
nothing due.

    cargo build --release && python3 tests/bench/backfill.py [--days 365] [--events 1000000] [--tiles 1000] [--keep DIR]

Prints wall time, CPU time and peak memory of whole processes, and ratios of the same run. The alerts of the backfill and
of the processes are compared byte for byte first. Nothing here is part of the tests: times depend on the machine.
"""

import argparse
import datetime
import filecmp
import os
import shutil
import tempfile

import figures

FIRST = datetime.date(2025, 1, 1)
HUNTS = ["wmiexec_logscale", "wmiexec_shared_output_file", "remote_wmi_command_attempt", "wmic_format", "wmic_remote_ip"]


def job(folder, lake, name, grid, output, at):
    path = os.path.join(folder, name, "bench.yaml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(
            f"lake: {lake}\nhunts: {{names: [{', '.join(HUNTS)}]}}\ngrid: {grid}\n"
            f"since: {FIRST}T00:00:00Z\nat: {at}\noutput: {output}\n"
        )
    return path


def same(one, other):
    """Whether two folders hold the same files."""
    compared = filecmp.dircmp(one, other)
    if compared.left_only or compared.right_only or compared.funny_files:
        return False
    _, different, errors = filecmp.cmpfiles(one, other, compared.common_files, shallow=False)
    if different or errors:
        return False
    return all(same(os.path.join(one, name), os.path.join(other, name)) for name in compared.common_dirs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--tiles", type=int, default=1_000, help="tiles of the look that finds nothing due")
    parser.add_argument("--keep", help="use and keep this folder")
    parser.add_argument("--binary", default=figures.BINARY)
    arguments = parser.parse_args()
    folder = arguments.keep or tempfile.mkdtemp()
    binary = arguments.binary
    lake = os.path.join(folder, "lake")
    last = FIRST + datetime.timedelta(days=arguments.days)
    if not os.path.exists(lake):
        days, events = str(arguments.days), str(arguments.events)
        figures.run([binary, "sample", lake, "--days", days, "--events", events, "--start", str(FIRST), "-q"])
    lake = os.path.join(lake, "lake.yaml")
    at = f"{last}T06:00:00Z"
    daily = '{cron: "0 2 * * *", earliest: "-1d@d", latest: "@d"}'

    def command(verb, path, *rest):
        return [binary, verb, path, *rest, "-q"]

    outputs = {name: os.path.join(folder, f"out-{name}") for name in ("backfill", "two", "processes", "one", "hours")}
    for output in outputs.values():
        shutil.rmtree(output, ignore_errors=True)
    year = ["--from", str(FIRST), "--to", str(last)]
    of_days = {name: job(folder, lake, name, daily, outputs[name], at) for name in ("backfill", "two", "processes")}
    whole = figures.figures(
        f"one backfill of {arguments.days} windows", command("backfill", of_days["backfill"], *year), 1
    )
    figures.figures("the same, two at a time", command("backfill", of_days["two"], *year, "--parallel", "2"), 1)
    assert same(os.path.join(outputs["backfill"], "alerts"), os.path.join(outputs["two"], "alerts"))
    print("    one run over the year: a range that is no tile, so that it is one scan of everything")
    one = job(folder, lake, "one", daily, outputs["one"], at)
    start = f"{FIRST}T00:00:01"
    single = figures.figures("one run", command("run", one, "--from", start, "--to", str(last)), 1)
    print(f"    the backfill takes {whole / single:.2f} of one run over the year")
    walls, cpu, peak = 0.0, 0.0, 0.0
    for day in range(arguments.days):
        start = FIRST + datetime.timedelta(days=day)
        range_ = ["--from", str(start), "--to", str(start + datetime.timedelta(days=1))]
        measured = figures.run(command("run", of_days["processes"], *range_))
        walls, cpu, peak = walls + measured[0], cpu + measured[1], max(peak, measured[2])
    print(f"{arguments.days} processes, one a day".ljust(44), f" wall {walls:7.3f} s  cpu {cpu:7.3f} s  peak {peak:.1f} MiB")
    print(f"    the backfill takes {whole / walls:.2f} of them")
    assert same(os.path.join(outputs["backfill"], "alerts"), os.path.join(outputs["processes"], "alerts"))

    hourly = '{cron: "0 * * * *", earliest: "-1h@h", latest: "@h"}'
    end = datetime.datetime.combine(FIRST, datetime.time()) + datetime.timedelta(hours=arguments.tiles)
    hours = job(folder, lake, "hours", hourly, outputs["hours"], f"{end:%Y-%m-%dT%H}:59:00Z")
    figures.figures(
        f"a backfill of {arguments.tiles} hours", command("backfill", hours, "--from", str(FIRST), "--to", f"{end:%Y-%m-%dT%H}:00"), 1
    )
    figures.figures(f"run --due, {arguments.tiles} tiles, nothing to do", command("run", hours, "--due"), 5)
    if not arguments.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
