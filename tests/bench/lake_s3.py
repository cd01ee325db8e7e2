#!/usr/bin/env python3
"""Figures of a lake in a bucket: requests and bytes for one day of three years, rows a second beside local disk and DuckDB,
and a store that is slow or fails.

    cargo build --release && python3 tests/bench/lake_s3.py [--events 2000000] [--runs 3] [--keep DIR] [--binary FILE]

The bucket is a folder behind a small server of this file, in a process of its own: LIST, GET and HEAD as S3 answers them,
signatures not looked at, with a latency and a share of 503 SlowDown. It runs on the same machine, and its CPU time is
printed. With the `duckdb` package the same query runs in DuckDB, interleaved, and the rows found are compared first;
with `duckdb-extension-httpfs` of the same version over the bucket too. Nothing here is part of the tests.
"""

import argparse
import asyncio
import glob
import gzip
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUCKET = "lake"


# The server.


def objects(folder, prefix):
    """All keys that begin with a prefix, in order, without looking outside its folder."""
    start = os.path.join(folder, prefix.rpartition("/")[0])
    for path, folders, files in os.walk(start):
        folders.sort()
        for name in files:
            key = os.path.relpath(os.path.join(path, name), folder)
            if key.startswith(prefix):
                yield key


def listing(folder, query):
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if delimiter:
        # One level: no look into the folders below.
        start = os.path.join(folder, prefix.rpartition("/")[0])
        entries = sorted(os.scandir(start), key=lambda e: e.name) if os.path.isdir(start) else []
        keys = [os.path.relpath(e.path, folder) + ("/" if e.is_dir() else "") for e in entries]
        keys = [key for key in keys if key.startswith(prefix)]
    else:
        keys = sorted(objects(folder, prefix))
    after = query.get("continuation-token") or query.get("start-after") or ""
    keys = [key for key in keys if key > after]
    page, more = keys[:1000], len(keys) > 1000
    text = [f"<Name>{BUCKET}</Name><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"]
    if more:
        text.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
    for key in page:
        if key.endswith("/"):
            text.append(f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>")
            continue
        info = os.stat(os.path.join(folder, key))
        changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(info.st_mtime))
        text.append(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{changed}</LastModified>"
            f"<ETag>&quot;{tag(info)}&quot;</ETag><Size>{info.st_size}</Size></Contents>"
        )
    return f'<?xml version="1.0"?><ListBucketResult>{"".join(text)}</ListBucketResult>'.encode()


def tag(info):
    return f"{info.st_mtime_ns:x}-{info.st_size:x}"


class Server:
    def __init__(self, folder, latency, failing):
        self.folder, self.latency, self.failing = folder, latency, failing
        self.random = random.Random(4)
        self.counts = {}

    async def connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                await self.answer(method, target, headers, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, method, target, headers, writer):
        path, _, query = target.partition("?")
        if path == "/_counts":
            self.counts["cpu"] = time.process_time()
            return self.reply(writer, 200, json.dumps(self.counts).encode())
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        kind = "LIST" if "list-type" in query else method
        self.counts[kind] = self.counts.get(kind, 0) + 1
        await asyncio.sleep(self.latency / 1000)
        if self.random.random() * 100 < self.failing:
            self.counts["503"] = self.counts.get("503", 0) + 1
            return self.reply(writer, 503, b"<Error><Code>SlowDown</Code></Error>")
        if kind == "LIST":
            body = listing(self.folder, query)
            self.counts["bytes"] = self.counts.get("bytes", 0) + len(body)
            return self.reply(writer, 200, body)
        key = urllib.parse.unquote(path).removeprefix(f"/{BUCKET}/")
        file = os.path.join(self.folder, key)
        if not os.path.isfile(file):
            return self.reply(writer, 404, b"<Error><Code>NoSuchKey</Code></Error>", method == "HEAD")
        await self.send(method, file, headers.get("range"), writer)

    async def send(self, method, file, wanted, writer):
        info = os.stat(file)
        size = info.st_size
        start, end = 0, size
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else size - int(last)
            end = min(size, int(last) + 1) if first and last else size
        changed = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(info.st_mtime))
        head = [
            "HTTP/1.1 206 Partial Content" if wanted else "HTTP/1.1 200 OK",
            f"content-length: {end - start}",
            f'etag: "{tag(info)}"',
            f"last-modified: {changed}",
            "accept-ranges: bytes",
        ]
        if wanted:
            head.append(f"content-range: bytes {start}-{end - 1}/{size}")
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        if method == "GET":
            self.counts["bytes"] = self.counts.get("bytes", 0) + end - start
            await writer.drain()
            with open(file, "rb") as opened:
                await asyncio.get_running_loop().sendfile(writer.transport, opened, start, end - start)

    def reply(self, writer, status, body, is_head=False):
        writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\ncontent-type: application/xml\r\n\r\n".encode())
        if not is_head:
            writer.write(body)


async def serve(folder, latency, failing):
    server = await asyncio.start_server(Server(folder, latency, failing).connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


class Bucket:
    """A server process over a folder, for as long as the block."""

    def __init__(self, folder, latency=0, failing=0):
        self.command = [sys.executable, os.path.abspath(__file__), "--serve", folder, str(latency), str(failing)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "NO_PROXY": "127.0.0.1",
        }

    def counts(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(f"http://127.0.0.1:{self.port}/_counts"))


# Measuring.


def run(arguments, environment=None):
    """Wall seconds, CPU seconds and peak MiB of one process, and what it printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=out, stderr=talk)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        out.seek(0), talk.seek(0)
        said, errors = out.read().decode(), talk.read().decode()
    if process.returncode != 0:
        sys.exit(f"{arguments} ended with {process.returncode}: {errors}")
    return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), said, errors


def show(name, measured, rows):
    walls = [m[0] for m in measured]
    cpu, peak = min(m[1] for m in measured), max(m[2] for m in measured)
    print(
        f"  {name:34}  wall min {min(walls):6.2f} s  median {statistics.median(walls):6.2f} s  cpu {cpu:6.2f} s"
        f"  peak {peak:6.0f} MiB  {rows / min(walls):>12,.0f} rows/s"
    )


# One day of three years.


def years(binary, folder):
    lake = os.path.join(folder, "years")
    if not os.path.isdir(lake):
        event = '{"EventID":1,"Computer":"WS1","EventRecordID":%d,"UtcTime":"%s 10:00:00.000","CommandLine":"wmic node"}\n'
        for day in range(1100):
            date = time.strftime("%Y-%m-%d", time.gmtime(1_672_531_200 + day * 86_400))
            os.makedirs(f"{lake}/day={date}")
            for part in range(4):
                with gzip.open(f"{lake}/day={date}/part-{part}.json.gz", "wt") as file:
                    file.write("".join(event % (part * 1000 + number, date) for number in range(1000)))
    config = os.path.join(folder, "years.yaml")
    with open(config, "w") as file:
        file.write(
            f"tables:\n  sysmon: {{location: s3://{BUCKET}, form: windows_event, format: ndjson,"
            ' layout: "day={time:%Y-%m-%d}/**"}\n'
        )
    print("one day of 1,100 (4,400 objects), 20 ms a request:")
    with Bucket(lake, latency=20) as bucket:
        query = [binary, "sql", "SELECT count(*) AS c FROM sysmon", "--lake", config, "--format", "ndjson", "--stats"]
        window = ["--from", "2025-06-01", "--to", "2025-06-02"]
        (wall, _, _), said, talk = run(query + window, bucket.environment())
        stats = json.loads(talk.splitlines()[-1])
        print(f"  {said.strip()} in {wall:.2f} s; the server counted {bucket.counts()}")
        print(f"  we counted {stats['requests'][f's3://{BUCKET}']}")


# Rows a second.

COLUMNS = "EventID Computer Channel Image OriginalFileName CommandLine UtcTime EventRecordID ParentImage ParentCommandLine User ProcessId".split()
WHERE = """EventID = 1 AND CommandLine ILIKE '%node%' AND (Image ILIKE '%\\wmic.exe' OR OriginalFileName ILIKE 'wmic.exe')"""

DUCKDB = """
import duckdb, sys
source, endpoint, extension, where = sys.argv[1:]
duckdb.sql("SET threads = 2; SET enable_progress_bar = false")
if endpoint:
    duckdb.sql(f"LOAD '{extension}'")
    duckdb.sql(f"SET s3_endpoint = '{endpoint}'; SET s3_use_ssl = false; SET s3_url_style = 'path'; SET s3_region = 'us-east-1'; SET s3_access_key_id = 'bench'; SET s3_secret_access_key = 'bench'")
print(duckdb.sql(f"SELECT count(DISTINCT (Computer, EventRecordID)) FROM {source} WHERE {where}").fetchall()[0][0])
"""


def make_lakes(binary, folder, events):
    """The sample's Sysmon events of one day, as many NDJSON.gz files and as Parquet."""
    lake = os.path.join(folder, "flow")
    if os.path.isdir(lake):
        return
    import duckdb

    sample = os.path.join(folder, "sample")
    run([binary, "sample", sample, "--days", "1", "--events", str(events), "--distinct", "0.4"])
    types = ", ".join(f"'{c}': '{'BIGINT' if c in ('EventID', 'EventRecordID', 'ProcessId') else 'VARCHAR'}'" for c in COLUMNS)
    os.makedirs(f"{lake}/json/day=2026-01-01")
    os.makedirs(f"{lake}/parquet/day=2026-01-01")
    source = sorted(glob.glob(f"{sample}/sysmon/day=*/*.gz"))
    text = b"".join(gzip.open(path).read() for path in source).splitlines(keepends=True)
    parts = 16
    for part in range(parts):
        piece = text[part * len(text) // parts : (part + 1) * len(text) // parts]
        with gzip.open(f"{lake}/json/day=2026-01-01/part-{part:02}.json.gz", "wb", 6) as file:
            file.write(b"".join(piece))
        duckdb.sql(
            f"COPY (SELECT * FROM read_ndjson('{lake}/json/day=2026-01-01/part-{part:02}.json.gz', ignore_errors=true, columns={{{types}}}))"
            f" TO '{lake}/parquet/day=2026-01-01/part-{part:02}.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 32768)"
        )


def extension_of():
    """Where httpfs is, if its package is installed."""
    package = importlib.util.find_spec("duckdb_extension_httpfs")
    if not package:
        return None
    found = glob.glob(os.path.join(os.path.dirname(package.origin), "**", "httpfs.duckdb_extension"), recursive=True)
    return found[0] if found else None


def flow(binary, folder, events, runs):
    # Not imported here: a child's peak would begin with what this process holds.
    try:
        version = importlib.metadata.version("duckdb")
    except importlib.metadata.PackageNotFoundError:
        print("duckdb is not installed: no rows a second (pip install duckdb)")
        return
    lake = os.path.join(folder, "flow")
    making = multiprocessing.Process(target=make_lakes, args=(binary, folder, events))
    making.start()
    making.join()
    extension = extension_of()
    if not extension:
        print("no duckdb-extension-httpfs: DuckDB reads local files only")
    for kind, read in [("json", "read_ndjson"), ("parquet", "read_parquet")]:
        paths = glob.glob(f"{lake}/{kind}/*/*")
        size = sum(os.path.getsize(path) for path in paths)
        form = "ndjson" if kind == "json" else "parquet"
        configs = {}
        for name, location in [("local", f"{lake}/{kind}"), ("s3", f"s3://{BUCKET}/{kind}")]:
            configs[name] = os.path.join(folder, f"{kind}_{name}.yaml")
            with open(configs[name], "w") as file:
                file.write(
                    f"tables:\n  sysmon: {{location: {location}, form: windows_event, format: {form},"
                    ' layout: "day={time:%Y-%m-%d}/**"}\n'
                )

        def ours(name):
            query = f'SELECT count(*) AS c FROM sysmon WHERE {WHERE}'
            return [binary, "sql", query, "--lake", configs[name], "--earliest", "0", "--format", "ndjson", "--stats"]

        def theirs(location, endpoint=""):
            types = ", ".join(f"'{c}': '{'BIGINT' if c in ('EventID', 'EventRecordID', 'ProcessId') else 'VARCHAR'}'" for c in COLUMNS)
            options = f", ignore_errors=true, columns={{{types}}}" if kind == "json" else ""
            source = f"{read}('{location}/{kind}/*/*'{options})"
            return [sys.executable, "-c", DUCKDB, source, endpoint, extension or "", WHERE]

        with Bucket(lake) as fast, Bucket(lake, latency=20) as slow, Bucket(lake, latency=20, failing=10) as failing:
            cases = [
                ("lakehunt, local", ours("local"), None),
                ("lakehunt, bucket, 0 ms", ours("s3"), fast.environment()),
                ("lakehunt, bucket, 20 ms", ours("s3"), slow.environment()),
                ("lakehunt, bucket, 20 ms, 10 % 503", ours("s3"), failing.environment()),
                (f"duckdb {version}, local", theirs(lake), None),
            ]
            if extension:
                for name, bucket in [("0 ms", fast), ("20 ms", slow)]:
                    query = theirs(f"s3://{BUCKET}", f"127.0.0.1:{bucket.port}")
                    cases.append((f"duckdb {version}, bucket, {name}", query, bucket.environment()))
            measured, found, rows = {}, {}, 0
            for _ in range(runs):
                for name, command, environment in cases:
                    figures, said, talk = run(command, environment)
                    measured.setdefault(name, []).append(figures)
                    found.setdefault(name, set()).add("".join(c for c in said if c.isdigit()))
                    if name == "lakehunt, local":
                        rows = json.loads(talk.splitlines()[-1])["tables"]["sysmon"]["rows"]
            print(f"{kind}: {rows:,} rows in {len(paths)} files of {size / 2**20:.0f} MiB; found {found}")
            for name, _, _ in cases:
                show(name, measured[name], rows)
            for name, bucket in [("0 ms", fast), ("20 ms", slow), ("20 ms, 10 % 503", failing)]:
                print(f"  server, {name}: {bucket.counts()}")
            walls = {name: min(m[0] for m in several) for name, several in measured.items()}
            local = walls["lakehunt, local"]
            for name, wall in walls.items():
                print(f"  {name:34}  {wall / local:5.2f} of lakehunt, local")


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--serve":
        asyncio.run(serve(sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "lakehunt"))
    parser.add_argument("--keep", help="use and keep this folder")
    options = parser.parse_args()
    if not os.path.exists(options.binary):
        sys.exit("build it first: cargo build --release")
    folder = options.keep or tempfile.mkdtemp(prefix="lakehunt-s3-")
    os.makedirs(folder, exist_ok=True)
    try:
        years(options.binary, folder)
        flow(options.binary, folder, options.events, options.runs)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
