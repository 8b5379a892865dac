"""How much time and memory large data take, measured in processes of their own."""

import json
import subprocess
import sys

import pytest

_WRITE = """
import sys
import pyarrow as pa, pyarrow.csv as csv
from mfcore.data.synthetic import synthesize
frame = synthesize(*map(int, sys.argv[2:])).frame
csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), sys.argv[1])
"""
_READ = """
import json, resource, sys, time
import pyarrow.csv, pyarrow.parquet
from pathlib import Path
from mfcore.config import DatasetConfig, ValidationConfig
from mfcore.data import checks, readers
from mfcore.data.ratings import Ratings

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

path = Path(sys.argv[1])
config = DatasetConfig(name=str(path))
before, start = peak(), time.perf_counter()
tables = readers.read(path.parent, {"format": "table", "origin": str(path)}, config)
read_s, read_bytes = time.perf_counter() - start, peak() - before
import great_expectations
start = time.perf_counter()
result = checks.check(tables, ValidationConfig())
check_s = time.perf_counter() - start
assert result.problems == []
start = time.perf_counter()
ratings = Ratings.from_frame(result.ratings, result.scale)
total_s = read_s + check_s + time.perf_counter() - start
arrays = (ratings.users, ratings.items, ratings.values, ratings.times)
print(json.dumps({
    "read_s": read_s, "check_s": check_s, "total_s": total_s, "peak_bytes": peak(),
    "reading_bytes": read_bytes / len(ratings), "kept_bytes": sum(a.nbytes for a in arrays) / len(ratings),
}))
"""


@pytest.mark.slow
def test_25_million_ratings_within_a_minute_and_three_gigabytes(tmp_path):
    path = tmp_path / "ratings.csv"
    subprocess.run([sys.executable, "-c", _WRITE, path, "162000", "59000", "25000000"], check=True)
    done = subprocess.run([sys.executable, "-c", _READ, path], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["total_s"] <= 60
    assert found["check_s"] <= 15
    assert found["peak_bytes"] <= 3e9
    assert found["reading_bytes"] <= 60
    assert found["kept_bytes"] <= 24
