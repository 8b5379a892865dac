"""The program of a worker that trains candidates.

`python -m mfcore.evaluation.worker FOLDER` reads {"candidate": …, "to": …} from stdin, a line each, trains the
candidate on the ratings in FOLDER, writes the fit into the folder `to`, and says {"seconds": …}.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path

from mfcore.errors import TrainingDiverged
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.fits import Parts
from mfcore.workers import conversation

if __name__ == "__main__":
    # The one who asked may be gone.
    with suppress(BrokenPipeError), conversation() as say:
        parts = Parts.load(Path(sys.argv[1]))
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                fit = parts.fit(Candidate.model_validate(asked["candidate"]))
            except TrainingDiverged as diverged:
                say({"diverged": str(diverged)})
            else:
                fit.save(Path(asked["to"]))
                say({"seconds": fit.seconds})
