"""ONNX Runtime on the CPU, measured as `toxiclip bench image|text --json` measures ours.

All graph optimisations are on and intra-operator threads are given; all else is as the library comes.
Prints one JSON object.
"""

import numpy as np
import onnxruntime

import definitions
import timing


def draw(entry, vocabulary):
    """Random pixels, or random ids of a full text; the highest id stands at its end and is the row that is read."""
    generator = np.random.default_rng(0)
    if entry.type != "tensor(int64)":
        return generator.standard_normal(entry.shape, dtype=np.float32)
    tokens = generator.integers(1, vocabulary - 1, entry.shape, dtype=np.int64)
    tokens[:, -1] = vocabulary - 1
    return tokens


def main():
    parser = timing.arguments(__doc__)
    parser.add_argument("--file", required=True, help="what onnx_export.py wrote for this encoder and batch")
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(args.file, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape[0] == args.batch, f"{args.file} is for batches of {entry.shape[0]}"
    vocabulary = definitions.read(args.encoder)["text_cfg"]["vocab_size"]
    inputs = {entry.name: draw(entry, vocabulary)}
    timing.report(args, lambda: session.run(None, inputs))


if __name__ == "__main__":
    main()
