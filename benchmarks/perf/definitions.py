"""Our encoder definitions, read without any of the programs that are measured."""

import json
from pathlib import Path

ENCODERS = Path(__file__).parents[1] / "encoders"


def read(encoder):
    """The JSON of a registered encoder, or of a file."""
    path = Path(encoder) if encoder.endswith(".json") else ENCODERS / f"{encoder}.json"
    return json.loads(path.read_text())
