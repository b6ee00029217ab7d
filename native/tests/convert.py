"""Checkpoints as torch.save writes them, and what is in them as the safetensors package writes it.

Run:  python3 native/tests/convert.py   (shared/tests/golden/requirements.txt says what must be installed)

Writes native/tests/convert/. `state` is a plain state_dict, `training` what open_clip's training keeps, `views` tensors that
are views of others. The others are checkpoints that must be refused: pickles that would run something, a program, the form
before 1.6, and archives that are cut or lie.
"""

import collections
import io
import pathlib
import shutil
import struct
import zipfile

import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).with_suffix("")


def numbers(*shape, dtype=torch.float32):
    count = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(count, dtype=torch.float64).sin() * 3).reshape(shape).to(dtype)


def state():
    return collections.OrderedDict(
        [
            ("visual.conv1.weight", numbers(2, 3, 2, 2)),
            ("visual.bn1.num_batches_tracked", torch.tensor(7)),
            ("visual.proj", numbers(4, 2, dtype=torch.float16)),
            ("text_projection", numbers(3, 2, dtype=torch.bfloat16)),
            ("ln_final.weight", numbers(3, dtype=torch.float64)),
            ("logit_scale", torch.tensor(2.6592)),
            ("empty", torch.zeros(0, 4)),
        ]
    )


def training():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(
        [{"params": [model.weight], "weight_decay": 0.2}, {"params": [model.bias], "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    model(numbers(4, 3)).sum().backward()
    optimizer.step()
    weights = collections.OrderedDict((f"module.{name}", t) for name, t in state().items())
    return {"epoch": 3, "name": "a run", "state_dict": weights, "optimizer": optimizer.state_dict(), "best": None}


def views():
    base = numbers(4, 6)
    return {
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "every-other": base[::2, ::3],
        "tied": base,
        "again": base,
        "parameter": torch.nn.Parameter(base[0]),
        "mask": torch.ones(2, 2, dtype=torch.bool),
    }


class Runs:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def expect(name, tensors):
    weights = {k: v.detach().clone().contiguous() for k, v in tensors.items() if v.dtype != torch.bool}
    save_file(weights, ROOT / f"{name}.safetensors", metadata={"format": "pt"})


def rewritten(name, source, change):
    """The archive `source` with some of its members changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(ROOT / source) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            content, how = change(item.filename, old.read(item)), zipfile.ZIP_STORED
            if isinstance(content, tuple):
                content, how = content
            if content is not None:
                new.writestr(zipfile.ZipInfo(item.filename), content, compress_type=how)
    (ROOT / name).write_bytes(out.getvalue())


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    for name, content, tensors in [("state", state(), state()), ("views", views(), views())]:
        torch.save(content, ROOT / f"{name}.pt")
        expect(name, tensors)
    torch.save(training(), ROOT / "training.pt")
    expect("training", training()["state_dict"])

    torch.save({"state_dict": Runs(exec, "raise SystemExit(3)")}, ROOT / "exec.pt")
    torch.save({"weight": numbers(2), "hook": Runs(getattr, "text", "upper")}, ROOT / "getattr.pt")
    torch.save(state(), ROOT / "old.pt", _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 1)).save(str(ROOT / "program.pt"))
    torch.save({"epoch": 3}, ROOT / "nothing.pt")

    whole = (ROOT / "state.pt").read_bytes()
    (ROOT / "cut.pt").write_bytes(whole[: len(whole) // 2])
    rewritten("short.pt", "state.pt", lambda name, b: b[:-4] if name.endswith("/data/0") else b)
    rewritten("absent.pt", "state.pt", lambda name, b: None if name.endswith("/data/0") else b)
    rewritten("packed.pt", "state.pt", lambda name, b: (b, zipfile.ZIP_DEFLATED) if name.endswith("/data/0") else b)
    rewritten("big-endian.pt", "state.pt", lambda name, b: b"big" if name.endswith("/byteorder") else b)
    # A storage of four numbers that claims to be a gigabyte, and a view that repeats one number a billion times.
    lie = lambda old, new: lambda name, b: b.replace(old, new, 1) if name.endswith("/data.pkl") else b
    torch.save({"weight": torch.arange(77.0)}, ROOT / "huge.pt")
    seventy_seven = b"K" + struct.pack("<B", 77)
    rewritten("huge.pt", "huge.pt", lie(seventy_seven, b"J" + struct.pack("<i", 1 << 28)))
    torch.save({"weight": torch.zeros(1).expand(1 << 30)}, ROOT / "repeated.pt")

    for file in sorted(ROOT.iterdir()):
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main()
