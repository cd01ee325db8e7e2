"""The hunts of the benchmark: the five published ones and generated ones, each in our SQL and in that of the peers.

A generated hunt is a list of tests (kind, column, literal); every engine gets it written its own best way.
"""

import random

TOOLS = ["mimikatz", "sekurlsa", "rubeus", "seatbelt", "sharphound", "lazagne", "procdump", "nanodump", "ntdsutil", "vssadmin", "bitsadmin", "certreq",
         "mshta", "cmstp", "installutil", "regasm", "odbcconf", "psexec", "paexec", "winexe", "chisel", "ligolo", "ngrok", "rclone", "megacmd", "anydesk",
         "atera", "splashtop", "adfind", "nltest", "dsquery", "whoami", "quser", "klist", "esentutl", "diskshadow", "wbadmin", "bcdedit", "fodhelper"]
FLAGS = ["-enc", "-nop", "-w hidden", "/node:", "/create", "/delete", "--dump", "lsass", "sam", "ntds.dit", "shadowcopy", "process call", "downloadstring",
         "invoke-expression", "frombase64string", "reflection.assembly", "amsiutils", "bypass", "unrestricted", "\\temp\\", "\\appdata\\", "\\public\\"]
PARENTS = ["winword.exe", "excel.exe", "outlook.exe", "wmiprvse.exe", "w3wp.exe", "sqlservr.exe", "mmc.exe", "services.exe", "mshta.exe", "explorer.exe"]
COLUMNS = {"image": "Image", "command_line": "CommandLine", "parent_image": "ParentImage"}


def generate(number, seed):
    """So many hunts, as (name, tests)."""
    draw = random.Random(seed)
    hunts = []
    for index in range(number):
        word = lambda: f"{draw.choice(TOOLS)}{draw.randrange(90)}" if draw.random() < 0.6 else draw.choice(TOOLS)
        kind = ["contains", "regex", "wildcard", "in"][index % 4]
        if kind == "contains":
            tests = [("contains", "command_line", word()), ("contains", "command_line", draw.choice(FLAGS))]
        elif kind == "regex":
            tests = [("regex", "command_line", f"{word()}(?:\\.exe)?[\"']?\\s+.*{draw.choice(['-', '/'])}[a-z]{{1,12}}[ :=]+\\S*{draw.randrange(10)}")]
        elif kind == "wildcard":
            tests = [("wildcard", "image", f"*\\{word()}.exe"), ("wildcard", "command_line", f"*{draw.choice(FLAGS)}*{draw.randrange(100)}*")]
        else:
            tests = [("in", "image", [f"c:\\windows\\system32\\{word()}.exe" for _ in range(5)]), ("in", "parent_image", [f"c:\\windows\\system32\\{draw.choice(PARENTS)}" for _ in range(2)])]
        # One in twenty finds something.
        if index % 20 == 3:
            tests = [("in", "image", ["c:\\windows\\system32\\wbem\\wmic.exe"]), ("in", "parent_image", ["c:\\windows\\system32\\cmd.exe"])]
            if index > 20:
                tests.append(("contains", "command_line", f"{index % 97}"))
        elif index % 20 == 9:
            tests = [("regex", "command_line", f"shadowcopy\\s+delete.*{index % 10}")]
        elif index % 20 == 14:
            tests = [("wildcard", "image", "*\\wmic.exe"), ("wildcard", "command_line", f"*process call create*calc{index % 13}*")]
        hunts.append((f"generated_{index:04d}", tests))
    return hunts


def text(value):
    return "'" + value.replace("'", "''") + "'"


def ours(tests):
    """A predicate as a hunter writes it here."""
    def one(kind, column, value):
        if kind == "contains":
            return f"{column} ILIKE {text('%' + value + '%')}"
        if kind == "regex":
            return f"{column} ~* {text(value)}"
        if kind == "wildcard":
            return f"wildcard_match({column}, {text(value)})"
        return f"lower({column}) IN ({', '.join(map(text, value))})"
    return " AND ".join(one(*test) for test in tests)


def regex_of(wildcard):
    special = "\\.+()[]{}^$|"
    return "".join({"*": ".*", "?": "."}.get(c, "\\" + c if c in special else c) for c in wildcard)


def like_of(value):
    """For LIKE with ESCAPE '!'."""
    value = value.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return value.replace("*", "%").replace("?", "_")


def duckdb(tests):
    """The same in DuckDB's fastest way that we know: lower and LIKE, without regexes where none is needed."""
    def one(kind, column, value):
        raw = COLUMNS[column]
        if kind == "contains":
            return f"contains(lower({raw}), {text(value)})"
        if kind == "regex":
            return f"regexp_matches({raw}, {text(value)}, 'i')"
        if kind == "wildcard":
            return f"lower({raw}) LIKE {text(like_of(value))} ESCAPE '!'"
        return f"lower({raw}) IN ({', '.join(map(text, value))})"
    return " AND ".join(one(*test) for test in tests)


def datafusion(tests):
    """The same for stock DataFusion; its LIKE escapes with a backslash."""
    def one(kind, column, value):
        raw = f'"{COLUMNS[column]}"'
        if kind == "contains":
            return f"contains(lower({raw}), {text(value)})"
        if kind == "regex":
            return f"regexp_like({raw}, {text(value)}, 'i')"
        if kind == "wildcard":
            escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            return f"lower({raw}) LIKE {text(escaped.replace('*', '%').replace('?', '_'))}"
        return f"lower({raw}) IN ({', '.join(map(text, value))})"
    return " AND ".join(one(*test) for test in tests)


NAME = "split_part(Image, '\\', -1)"
# The published hunts in DuckDB's words: what is compared is the list of (host, key text, events), sorted.
PUBLISHED = {
    "wmiexec_logscale": ("host_id, redirect_file, event_count", f"""
        WITH matched AS (
          SELECT *, regexp_extract(CommandLine, '(?i)^cmd[^\\r\\n]exe /Q /c ([^\\r\\n]*) 1>([^\\r\\n]+?__(\\d+\\.\\d+))\\s', ['command', 'file', 'stamp']) AS parts
          FROM lake WHERE {NAME} = 'cmd.exe' AND regexp_matches(CommandLine, '(?i)^cmd[^\\r\\n]exe /Q /c [^\\r\\n]* 1>[^\\r\\n]+?__\\d+\\.\\d+\\s')
            AND NOT CommandLine LIKE '%/Q /c cd  1>%' AND NOT CommandLine LIKE '%/Q /c cd \\ 1>%' AND NOT CommandLine LIKE '%/Q /c netstat -anop TCP%')
        SELECT Computer, parts['file'], count(*), list(DISTINCT parts['command'])[:2000] AS commands, count(DISTINCT parts['command']), count(DISTINCT ProcessGuid), min(event_time), max(event_time)
        FROM matched WHERE epoch_ms(event_time) - (CAST(parts['stamp'] AS DOUBLE) * 1000)::BIGINT > 1000
        GROUP BY 1, 2 HAVING count(DISTINCT parts['command']) > 1 AND count(DISTINCT ProcessGuid) > 1"""),
    "wmi_command_execution_spl": ('"ComputerName", "CommandLine", event_count', f"""
        SELECT Computer, lower(CommandLine), count(*), event_time, "User", ParentImage, ParentCommandLine FROM lake
        WHERE lower({NAME}) IN ('wmic.exe', 'powershell.exe', 'wbemtool.exe', 'wmiprvse.exe', 'wmiadap.exe', 'scrcons.exe')
          AND (contains(lower(CommandLine), 'process call create') OR contains(lower(CommandLine), 'shadowcopy delete') OR contains(lower(CommandLine), 'process start') OR contains(lower(CommandLine), 'createobject'))
          AND NOT ("User" = 'SYSTEM' OR lower({NAME}) = 'wmiprvse.exe')
        GROUP BY ALL"""),
    "wmic_format_spl": ("host, cmdline, 1", f"""
        SELECT Computer, CommandLine, 1, event_time, ParentCommandLine, "User" FROM lake WHERE lower({NAME}) = 'wmic.exe' AND contains(lower(CommandLine), 'format')"""),
    "remote_wmi_command_attempt_spl": ("dest, process, event_count", f"""
        SELECT Computer, CommandLine, count(*), "User", ParentCommandLine, ProcessId, ParentProcessId, min(event_time), max(event_time) FROM lake
        WHERE (lower({NAME}) = 'wmic.exe' OR lower(OriginalFileName) = 'wmic.exe') AND contains(lower(CommandLine), 'node') GROUP BY ALL"""),
    "wmic_remote_ip_kql": ('"DeviceName", "ProcessCommandLine", 1', f"""
        SELECT Computer, CommandLine, 1, event_time, regexp_extract(CommandLine, '[0-9]{{1,3}}\\.[0-9]{{1,3}}\\.[0-9]{{1,3}}\\.[0-9]{{1,3}}') AS ip FROM lake
        WHERE lower({NAME}) = 'wmic.exe' AND ip <> '' AND ip <> '127.0.0.1'"""),
}
# What only counting can find: command lines that few hosts ran, and heavy groups.
RARE = ("command_line, hosts, event_count", """
    SELECT CommandLine, count(DISTINCT Computer), count(*) FROM lake GROUP BY CommandLine HAVING count(DISTINCT Computer) = 2""")
RARE_OURS = """SELECT command_line, count(DISTINCT host_id) AS hosts, count(*) AS event_count, max(event_time) AS last_seen
FROM process_creation GROUP BY command_line HAVING count(DISTINCT host_id) = 2"""
CONTAINS = ["-enc", "mimikatz", "sekurlsa", "downloadstring", "frombase64", "shadowcopy", "ntds.dit", "lsass", "invoke-", "bitsadmin"]
CONTAINS_PEER = ("host_name, command_line, 1", "SELECT Computer, CommandLine, 1 FROM lake WHERE " + " OR ".join(f"contains(lower(CommandLine), '{word}')" for word in CONTAINS))
CONTAINS_CHDB = "SELECT Computer, CommandLine, 1 FROM lake WHERE EventID = 1 AND multiSearchAnyCaseInsensitive(CommandLine, [" + ", ".join(f"'{word}'" for word in CONTAINS) + "])"
CONTAINS_OURS = "SELECT event_time, host_name, command_line FROM process_creation WHERE " + " OR ".join(f"command_line ILIKE '%{word}%'" for word in CONTAINS)


def front_matter(name, number):
    return f"""-- ---
-- id: 00000000-0000-4000-8000-{number:012d}
-- title: {name}
-- status: test
-- level: low
-- description: Generated for the benchmark.
-- ---
"""


def generated_sql(tests):
    return f"SELECT event_time, host_name, image, command_line, parent_image, _table, _file, _row\nFROM process_creation\nWHERE {ours(tests)}\n"
