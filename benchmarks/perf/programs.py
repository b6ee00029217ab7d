"""The programs under comparison as commands that print one JSON object."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def output(command, **options):
    """What a command prints; its error ends the comparison."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def build():
    """Builds our program and returns its path."""
    lines = output(["cargo", "build", "--release", "--message-format=json", "-p", "toxiclip"])
    artifacts = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return next(a["executable"] for a in artifacts if a.get("executable"))


class Programs:
    """Runs any of the programs on any workload; ONNX files are written once into `folder`."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = Path(folder)

    def run(self, program, what, encoder, batch, iters, threads):
        """The JSON object of one run: one turn of one program."""
        options = ["--encoder", encoder, "--batch", batch, "--iters", iters, "--threads", threads]
        match program:
            case "toxiclip":
                command = [self.binary, "bench", what, *options, "--json"]
            case "pytorch":
                command = [sys.executable, HERE / "pytorch.py", what, *options]
            case "onnxruntime":
                file = self.onnx(what, encoder, batch)
                command = [sys.executable, HERE / "onnx_runtime.py", what, *options, "--file", file]
        return json.loads(output(command).splitlines()[-1])

    def peak(self, threads):
        """What no program can exceed: GFLOP/s of multiplications and additions in registers."""
        options = ["--batch", 64, "--iters", 5, "--threads", threads]
        command = [self.binary, "bench", "peak", *options, "--json"]
        return {"per_second": json.loads(output(command))["per_second"]}

    def onnx(self, what, encoder, batch):
        """The exported tower; made at the first call, outside every measurement."""
        file = self.folder / f"{what}-{encoder}-{batch}.onnx"
        if not file.exists():
            options = ["--encoder", encoder, "--batch", batch, "--out", file]
            output([sys.executable, HERE / "onnx_export.py", what, *options])
        return file
