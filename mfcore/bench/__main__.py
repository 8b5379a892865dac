"""One measurement in this process: of an entrant, or of compiling where none is named."""

import json
import sys
from pathlib import Path

from mfcore.bench.speed import measure, measure_compiling

if __name__ == "__main__":
    figures = measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])) if sys.argv[1:] else measure_compiling()
    print(json.dumps(figures))
