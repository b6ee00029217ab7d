"""PSNR and SSIM of pictures by scikit-image: writes fidelity.json. Bytes are (height, width, 3) as hexadecimal text."""

import json
from pathlib import Path

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def main():
    rng = np.random.default_rng(0)
    y, x, c = np.indices((20, 27, 3))
    before = (128 + 90 * np.sin((x + 2 * y) / 5 + c)).astype(np.uint8)
    changes = {
        "noise": before + rng.normal(0, 12, before.shape),
        "darker": 0.8 * before,
        "patch": np.where((x < 6) & (y > 13), 255, before),
        "other": rng.integers(0, 256, before.shape),
    }
    cases = []
    for name, values in changes.items():
        after = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
        cases.append({
            "name": name,
            "after": after.tobytes().hex(),
            "psnr": peak_signal_noise_ratio(before, after),
            "ssim": structural_similarity(before, after, channel_axis=2),
        })
    golden = {"width": 27, "height": 20, "before": before.tobytes().hex(), "cases": cases}
    Path(__file__).with_name("fidelity.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main()
