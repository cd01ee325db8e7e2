#!/usr/bin/env python3
"""Makes page_checksums.parquet beside this file: pages with checksums, which the Rust writer does not write.

    pip install pyarrow && python3 tests/it/damage_parquet/page_checksums.py
"""

import os

import pyarrow
import pyarrow.parquet

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page_checksums.parquet")

table = pyarrow.table(
    {
        "at": [f"2026-01-01T00:{row:02}:00Z" for row in range(60)] + [f"2026-01-01T01:{row:02}:00Z" for row in range(4)],
        "n": pyarrow.array(range(1, 65), pyarrow.int64()),
    }
)
# Plain and not compressed: a flipped bit is another value, and nothing but the checksum tells.
pyarrow.parquet.write_table(
    table,
    PATH,
    row_group_size=32,
    compression="none",
    use_dictionary=False,
    write_statistics=False,
    store_schema=False,
    write_page_checksum=True,
)
