"""What is compared: one line per comparison, and the settings that the curves vary."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One workload, run by us and by every peer in turn."""

    what: str
    encoder: str
    batch: int
    # Timed iterations of one turn: a few seconds, so that a slow phase of the machine meets all programs.
    iters: int
    peers: tuple = ("pytorch",)
    # Also run by us alone on one thread.
    scaling: bool = True

    @property
    def name(self):
        return f"{self.what}:{self.encoder}:{self.batch}"


BOTH = ("pytorch", "onnxruntime")
CASES = [
    Case("train-step", "small-clip", 128, 6),
    Case("train-step", "vit-b-32", 16, 3),
    Case("train-step", "tiny-resnet", 128, 30),
    Case("train-step", "tiny-rn", 128, 15),
    Case("train-step", "rn50", 8, 3),
    Case("image", "vit-b-32", 8, 12, BOTH),
    Case("image", "vit-b-32", 1, 60, BOTH, scaling=False),
    Case("text", "vit-b-32", 8, 15, BOTH),
    Case("image", "rn50", 8, 10, BOTH),
]


@dataclass(frozen=True)
class Curve:
    """Training steps of `small-clip` with one setting varied."""

    name: str
    label: str
    values: tuple
    batch: int = 64
    iters: int = 3

    def settings(self, value, definition, threads):
        """The changed definition, the batch and the threads of one point."""
        vision, text = definition["vision_cfg"], definition["text_cfg"]
        batch = self.batch
        match self.name:
            case "batch":
                batch = value
            case "image-size":
                vision["image_size"] = value
            case "width":
                definition["embed_dim"] = vision["width"] = text["width"] = value
                text["heads"] = value // vision["head_width"]
            case "threads":
                threads = value
        return definition, batch, threads


def curves(cores):
    """The curves of a machine with that many cores."""
    threads = tuple(n for n in (1, 2, 4, 8, 16, 32, 64) if n <= cores)
    return [
        Curve("batch", "pairs a step", (8, 16, 32, 64, 128, 256)),
        Curve("image-size", "edge of the pictures in pixels (patches of 4, 32 pairs)", (16, 24, 32, 48, 64), batch=32),
        Curve("width", "width of both towers", (64, 128, 192, 256, 384)),
        Curve("threads", "threads", threads),
    ]


