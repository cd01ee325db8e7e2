#!/usr/bin/env python3
"""One scan, many hunts: lakehunt, DuckDB, DataFusion and chDB side by side over the same files, in one run.

    cargo build --release && python3 tests/bench/one_scan.py [--rows 10000000] [--hunts 1,5,100,1000]

Makes a Python environment (duckdb, datafusion, chdb, pyarrow from PyPI), a seeded lake of process telemetry with planted
attacks as Parquet and as NDJSON.gz, and as many hunts as asked, all under target/bench. Then runs each engine in turn,
round by round, so that what else the machine does falls on all; compares the rows, and prints the best of the rounds.

Times of lakehunt are of the whole process: start, planning, scan, and findings published with fsync. Times of the peers
are of their queries alone, in a process that is already up. The peers read the plain columns; lakehunt reads the same
files through its view, with clock, identity and deduplication. `lakehunt sql` is the same question without findings,
alerts and report: rows as CSV, the whole process. Beside Parquet stands the floor: `floor/` decodes the
columns that the hunts read with the parquet crate and does nothing with them; its ratio is that of the scan alone. `datafusion` is the engine's own Python package (its
command line is in no registry but as source). Nothing here is part of the tests: times depend on the machine.
"""

import argparse
import glob
import json
import os
import resource
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(ROOT, "target", "bench")
PYTHON = os.path.join(BENCH, "venv", "bin", "python")
THREADS = 2
COLUMNS = """{EventID: 'BIGINT', Channel: 'VARCHAR', Computer: 'VARCHAR', UtcTime: 'VARCHAR', Image: 'VARCHAR', OriginalFileName: 'VARCHAR', CommandLine: 'VARCHAR',
  "User": 'VARCHAR', ProcessGuid: 'VARCHAR', ProcessId: 'BIGINT', ParentProcessId: 'BIGINT', ParentImage: 'VARCHAR', ParentCommandLine: 'VARCHAR'}"""


def environment():
    if not os.path.exists(PYTHON):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(BENCH, "venv")], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "duckdb", "datafusion", "chdb", "pyarrow", "numpy", "pytz"], check=True)
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.join(BENCH, "venv")):
        os.execv(PYTHON, [PYTHON, os.path.abspath(__file__), *sys.argv[1:]])


# The peers, each in a process of its own: queries in, rows and seconds out.

def peer_duckdb(task):
    import duckdb

    duckdb.sql(f"SET threads = {THREADS}; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    if task.get("memory"):
        duckdb.sql(f"SET memory_limit = '{task['memory']}'")
    if task["format"] == "parquet":
        source = f"SELECT *, UtcTime AS event_time FROM read_parquet('{task['lake']}/parquet/*/*.parquet')"
    else:
        source = f"SELECT *, CAST(UtcTime AS TIMESTAMP) AS event_time FROM read_ndjson('{task['lake']}/ndjson/*/*.gz', columns={COLUMNS})"
    duckdb.sql(f"CREATE TEMP VIEW lake AS SELECT * FROM ({source}) WHERE EventID = 1")
    return run_queries(task, lambda query: duckdb.sql(query).fetchall())


def peer_datafusion(task):
    import datafusion

    context = datafusion.SessionContext(datafusion.SessionConfig({"datafusion.execution.target_partitions": str(THREADS), "datafusion.sql_parser.enable_ident_normalization": "false",
                                                                  "datafusion.execution.parquet.pushdown_filters": "true", "datafusion.execution.parquet.reorder_filters": "true"}))
    if task["format"] != "parquet":
        import pyarrow as pa
        names = ["Channel", "Computer", "UtcTime", "Image", "OriginalFileName", "CommandLine", "User", "ProcessGuid", "ParentImage", "ParentCommandLine"]
        schema = pa.schema([("EventID", pa.int64())] + [(name, pa.string()) for name in names])
        context.register_json("lake", f"{task['lake']}/ndjson/day=2026-01-01/", schema=schema, file_extension=".gz", file_compression_type="gzip")
    else:
        context.register_parquet("lake", f"{task['lake']}/parquet/")
    return run_queries(task, lambda query: [tuple(row.values()) for batch in context.sql(query).collect() for row in batch.to_pylist()])


def peer_chdb(task):
    import csv
    import io

    import chdb

    files = f"file('{task['lake']}/parquet/*/*.parquet', Parquet)"
    settings = f" SETTINGS max_threads = {THREADS}"
    query = lambda text: chdb.query(text.replace("FROM lake", f"FROM {files}") + settings, "CSV").bytes().decode()
    return run_queries(task, lambda text: list(csv.reader(io.StringIO(query(text)))))


def run_queries(task, execute):
    results, seconds, cpu = [], [], time.process_time()
    for query in task["queries"]:
        started = time.perf_counter()
        rows = execute(query)
        seconds.append(time.perf_counter() - started)
        results.append(sorted([str(value) for value in row[:3]] for row in rows))
    return {"seconds": seconds, "rows": results, "cpu": time.process_time() - cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def worker():
    task = json.load(sys.stdin)
    result = {"duckdb": peer_duckdb, "datafusion": peer_datafusion, "chdb": peer_chdb}[task["engine"]](task)
    json.dump(result, sys.stdout)


def ask(engine, lake, form, queries, **more):
    task = json.dumps({"engine": engine, "lake": lake, "format": form, "queries": queries, **more})
    done = subprocess.run([PYTHON, os.path.abspath(__file__), "--worker"], input=task.encode(), stdout=subprocess.PIPE)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)


# lakehunt

def project(folder, lake, form, hunts, memory):
    """A folder with a lake file, a job and the hunts."""
    shutil.rmtree(folder, ignore_errors=True)
    hunts_folder = os.path.join(folder, "sql", "hunts", "windows", "process_creation")
    os.makedirs(hunts_folder)
    for part in ["forms", "views"]:
        shutil.copytree(os.path.join(ROOT, "sql", part), os.path.join(folder, "sql", part))
    for name, sql in hunts:
        with open(os.path.join(hunts_folder, f"{name}.sql"), "w") as file:
            file.write(sql)
    with open(os.path.join(folder, "lake.yaml"), "w") as file:
        file.write(f'tables:\n  sysmon: {{location: "{lake}/{form}", form: windows_event, format: {form}, layout: "day={{time:%Y-%m-%d}}/**"}}\n')
    with open(os.path.join(folder, "job.yaml"), "w") as file:
        file.write(f'lake: lake.yaml\ngrid: {{cron: "0 2 * * *", earliest: "-1d@d", latest: "@d"}}\nat: 2026-01-02T02:00:00Z\noutput: out\n'
                   f"limits: {{memory: {memory}, hunt_timeout: 60m, max_findings: 100000000}}\n")
    return folder


def lakehunt(options, folder):
    """One run: wall and CPU seconds, peak MiB."""
    shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
    started = time.perf_counter()
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen([options.binary, "run", os.path.join(folder, "job.yaml"), "-q"], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode != 0:
        with open(os.path.join(folder, "log")) as log:
            sys.exit(f"lakehunt ended with {process.returncode}:\n{log.read()[-3000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def scan_and_floor(options, folder, lake):
    """Seconds of the scan by itself, and of decoding the columns that it decodes."""
    binary = os.path.join(BENCH, "floor", "release", "floor")
    if not os.path.exists(binary):
        manifest = os.path.join(ROOT, "tests", "bench", "floor", "Cargo.toml")
        subprocess.run(["cargo", "build", "-q", "--release", "--manifest-path", manifest, "--target-dir", os.path.join(BENCH, "floor")], check=True)
    run = [options.binary, "run", os.path.join(folder, "job.yaml"), "--format", "json"]
    plan = json.loads(subprocess.run([*run, "--plan"], stdout=subprocess.PIPE, check=True).stdout)
    # And the clock, which every scan reads.
    columns = sorted({"UtcTime", *(column for table in plan["tables"].values() for column in table["columns"])})
    files = sorted(glob.glob(f"{lake}/parquet/*/*.parquet"))
    scans, floors = [], []
    for _ in range(options.rounds):
        scans.append(stats(options, folder)["stages"]["scan"])
        done = subprocess.run([binary, str(THREADS), ",".join(columns), *files], stdout=subprocess.PIPE, check=True)
        floors.append(float(done.stdout.split()[0]))
    return min(scans), min(floors)


def line_of_floor(options, folder, lake, form):
    if form == "parquet":
        scan, floor = scan_and_floor(options, folder, lake)
        print(f"  {'  scan / floor':34} {scan:9.3f} s {'floor ' + format(floor, '.3f') + ' s':>26}  {scan / floor:6.3f}", flush=True)


def findings(folder, hunt, columns):
    import duckdb

    files = glob.glob(f"{folder}/out/findings/*/*/hunt={hunt}/*.parquet")
    if not files:
        return []
    rows = duckdb.sql(f"SELECT {columns} FROM read_parquet({files}, hive_partitioning=false)").fetchall()
    return sorted([str(value) for value in row] for row in rows)


def compare(name, mine, theirs):
    if mine != theirs:
        sys.exit(f"{name}: lakehunt has {len(mine)} rows, the peer {len(theirs)}; first of each: {mine[:1]} {theirs[:1]}")


def line(name, walls, cpu=None, peak=None, base=None, note=""):
    best = min(walls)
    ratio = f"{best / base:6.3f}" if base else "      "
    print(f"  {name:34} {best:9.3f} s {('cpu ' + format(cpu, '.2f')) if cpu else '':>10} {('peak ' + format(peak, '.0f') + ' MiB') if peak else '':>14}  {ratio}  {note}", flush=True)
    return best


def published(options, lake, form):
    import hunts_of_bench as bench

    print(f"one published hunt, {form}: ratio to DuckDB")
    for name, (columns, query) in bench.PUBLISHED.items():
        text = open(os.path.join(ROOT, "sql", "hunts", "windows", "process_creation", f"{name}.sql")).read()
        measure_one(options, lake, form, name, text, columns, query)


def asked(options, folder, text, memory):
    """The hunt's query by `lakehunt sql`: wall and CPU seconds, peak MiB."""
    day = ["--from", "2026-01-01", "--to", "2026-01-02"]
    rows = os.path.join(folder, "rows.csv")
    more = ["--format", "csv", "--max-rows", "100000000", "-q", "--memory", memory]
    query = os.path.join(folder, "query.sql")
    with open(query, "w") as file:
        file.write(text)
    command = [options.binary, "sql", "-f", query, "--lake", os.path.join(folder, "lake.yaml"), *day, *more]
    started = time.perf_counter()
    with open(rows, "wb") as out:
        process = subprocess.Popen(command, stdout=out, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode != 0:
        sys.exit(f"lakehunt sql ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


# The peers of one hunt: what they are called, which they are, another query than DuckDB's, and the memory they may take.
DUCKDB = ("duckdb", "duckdb", None, None)


def measure_one(options, lake, form, name, text, columns, query, peers=(DUCKDB,), memory=None):
    folder = project(os.path.join(BENCH, "run", f"{form}-{name}"), lake, form, [(name, text)], memory or options.memory)
    mine, queries, theirs, peaks = [], [], {}, {}
    for _ in range(options.rounds):
        mine.append(lakehunt(options, folder))
        queries.append(asked(options, folder, text, memory or options.memory))
        for peer, engine, other, limit in peers:
            result = ask(engine, lake, form, [other or query], memory=limit)
            if result is None:
                continue
            theirs.setdefault(peer, []).append(result["seconds"][0])
            peaks[peer] = (result["cpu"], result["peak"])
            compare(name, findings(folder, name, columns), result["rows"][0])
    base = min(theirs["duckdb"]) if "duckdb" in theirs else None
    line(f"{name}", [m[0] for m in mine], min(m[1] for m in mine), max(m[2] for m in mine), base)
    line("  lakehunt sql", [m[0] for m in queries], min(m[1] for m in queries), max(m[2] for m in queries), base)
    for peer, walls in theirs.items():
        line(f"  {peer}", walls, *peaks[peer])
    line_of_floor(options, folder, lake, form)
    return min(m[0] for m in mine)


def many(options, lake, form):
    import hunts_of_bench as bench

    counts = [int(count) for count in options.hunts.split(",")]
    generated = bench.generate(max(counts), options.seed)
    select = "SELECT Computer, Image, CommandLine FROM lake WHERE "
    print(f"generated hunts, {form}: ratio to DuckDB one by one")
    for count in counts:
        hunts = generated[:count]
        texts = [(name, bench.front_matter(name, number) + bench.generated_sql(tests)) for number, (name, tests) in enumerate(hunts)]
        folder = project(os.path.join(BENCH, "run", f"{form}-{count}"), lake, form, texts, options.memory)
        # Peers run a share of many hunts, and their time is scaled up: a thousand would take an hour.
        share = hunts[:: max(1, count // options.sample)]
        mine, duckdb, other, cte, peaks = [], [], [], [], {}
        for _ in range(options.rounds):
            mine.append(lakehunt(options, folder))
            result = ask("duckdb", lake, form, [select + bench.duckdb(tests) for _, tests in share])
            duckdb.append(sum(result["seconds"]) * count / len(share))
            peaks["duckdb"] = (result["cpu"] * count / len(share), result["peak"])
            for (name, _), rows in zip(share, result["rows"]):
                compare(name, findings(folder, name, "host_name, image, command_line"), rows)
            if options.peers == "all" and count <= 100:
                datafusion = ask("datafusion", lake, form, ['SELECT "Computer", "Image", "CommandLine" FROM lake WHERE "EventID" = 1 AND ' + bench.datafusion(tests) for _, tests in share])
                if datafusion:
                    other.append(sum(datafusion["seconds"]) * count / len(share))
                    peaks["datafusion"] = (datafusion["cpu"] * count / len(share), datafusion["peak"])
                    for (name, _), theirs, rows in zip(share, datafusion["rows"], result["rows"]):
                        compare(name + " in DataFusion", theirs, rows)
                once = " UNION ALL ".join(f"SELECT {index}, count(*), 0 FROM m WHERE {bench.duckdb(tests)}" for index, (_, tests) in enumerate(hunts))
                once = f"WITH m AS MATERIALIZED (SELECT Image, CommandLine, ParentImage FROM lake) {once}"
                one = ask("duckdb", lake, form, [once])
                if one:
                    cte.append(one["seconds"][0])
                    peaks["cte"] = (one["cpu"], one["peak"])
        base = min(duckdb)
        scaled = "" if len(share) == count else f"{len(share)} of them run, scaled"
        line(f"{count} hunts: lakehunt", [m[0] for m in mine], min(m[1] for m in mine), max(m[2] for m in mine), base)
        line("  DuckDB, one by one", duckdb, *peaks["duckdb"], note=scaled)
        if cte:
            line("  DuckDB, one query over one CTE", cte, *peaks["cte"], base, note="counts only")
        if other:
            line("  DataFusion, one by one", other, *peaks["datafusion"], base, note=scaled)
        line_of_floor(options, folder, lake, form)


def stats(options, folder):
    """What one run says of itself."""
    shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
    run = [options.binary, "run", os.path.join(folder, "job.yaml"), "--format", "json", "--stats"]
    told = subprocess.run(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True).stderr
    return json.loads(told.decode().splitlines()[-1])


def curve(options):
    """A thousand hunts over lakes whose command lines repeat more or less often."""
    import hunts_of_bench as bench
    import lake_of_processes

    rows = max(options.rows // 10, 100_000)
    texts = [(name, bench.front_matter(name, number) + bench.generated_sql(tests)) for number, (name, tests) in enumerate(bench.generate(1000, options.seed))]
    print(f"1000 generated hunts over {rows} Parquet rows: events a second and core in the scan, by the share of command lines that occur once")
    for distinct in [0.05, 0.2, 0.4, 0.7, 1.0]:
        lake = os.path.join(BENCH, f"lake-{rows}-{distinct}-{options.seed}")
        lake_of_processes.make(lake, rows, distinct, options.seed)
        folder = project(os.path.join(BENCH, "run", f"curve-{distinct}"), lake, "parquet", texts, options.memory)
        runs = [stats(options, folder)["stages"] for _ in range(options.rounds)]
        scan, plan = (min(run[stage] for run in runs) for stage in ["scan", "plan"])
        print(f"  {distinct:4.0%} {rows / scan / os.cpu_count():12,.0f}   (scan {scan:.2f} s, planning {plan:.2f} s: {plan:.2f} ms a hunt)", flush=True)


def main():
    if "--worker" in sys.argv:
        return worker()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--hunts", default="1,5,100,1000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--distinct", type=float, default=0.4, help="share of command lines that occur once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=20, help="hunts that the peers run where there are more")
    parser.add_argument("--formats", default="parquet,ndjson")
    parser.add_argument("--only", default="published,many,counts,curve")
    parser.add_argument("--peers", default="all", choices=["all", "duckdb"])
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "lakehunt"))
    options = parser.parse_args()
    environment()
    import hunts_of_bench as bench
    import lake_of_processes

    lake = os.path.join(BENCH, f"lake-{options.rows}-{options.distinct}-{options.seed}")
    answers = lake_of_processes.make(lake, options.rows, options.distinct, options.seed)
    sizes = {form: sum(os.path.getsize(path) for path in glob.glob(f"{lake}/{form}/*/*")) / 2**20 for form in ["parquet", "ndjson"]}
    print(f"{options.rows} events, {options.distinct:.0%} of the command lines occur once; Parquet {sizes['parquet']:.0f} MiB, NDJSON.gz {sizes['ndjson']:.0f} MiB; planted {answers}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; best of {options.rounds}", flush=True)
    if "curve" in options.only:
        curve(options)
    for form in options.formats.split(","):
        if "published" in options.only:
            published(options, lake, form)
        if "many" in options.only:
            many(options, lake, form)
        if "counts" in options.only and form == "parquet":
            print("counting, parquet")
            head = bench.front_matter("rare_command_line", 1).replace("-- ---\n", "-- ---\n", 1)
            limited = ("duckdb within 1 GiB", "duckdb", None, "1GiB")
            measure_one(options, lake, form, "rare_command_line", head + bench.RARE_OURS + "\n", *bench.RARE, peers=(DUCKDB, limited), memory="1GiB")
            chdb = ("chdb", "chdb", bench.CONTAINS_CHDB, None)
            measure_one(options, lake, form, "ten_contains", bench.front_matter("ten_contains", 2) + bench.CONTAINS_OURS + "\n", *bench.CONTAINS_PEER, peers=(DUCKDB, chdb))


if __name__ == "__main__":
    main()
