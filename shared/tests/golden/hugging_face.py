"""A small CLIP in transformers' layout with its embeddings: `hugging_face/`, read by `shared/tests/golden.rs`.

  hugging_face.py           draws new weights and inputs, and writes the folder
  hugging_face.py --check   keeps them, recomputes the embeddings and compares
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

FOLDER = Path(__file__).parent / "hugging_face"
BATCH = 4
TOLERANCE = 1e-6
CONFIG = {
    # Square where it can be, so that a forgotten transposition of a projection shows only in the numbers.
    "projection_dim": 24,
    "text_config": {
        "hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 8, "vocab_size": 40, "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1,
    },
    "vision_config": {
        "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
        "image_size": 16, "patch_size": 8,
    },
}


def draw():
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(**CONFIG))
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.1 * torch.randn_like(tensor))
    model.save_pretrained(FOLDER)
    tokens = torch.randint(1, 38, (BATCH, 8))
    for row in range(BATCH):
        tokens[row, 2 + row :] = 39
    return {"pixels": torch.randn(BATCH, 3, 16, 16), "tokens": tokens}


def embeddings(inputs):
    """Not normalised, in double precision."""
    model = CLIPModel.from_pretrained(FOLDER, attn_implementation="eager").double().eval()
    with torch.no_grad():
        image = model.vision_model(inputs["pixels"].double()).pooler_output
        text = model.text_model(inputs["tokens"]).pooler_output
        return {
            "image_eval": model.visual_projection(image).float(),
            "text": model.text_projection(text).float(),
        }


def main():
    check = "--check" in sys.argv[1:]
    path = FOLDER / "values.safetensors"
    committed = load_file(path) if check else draw()
    values = embeddings(committed)
    if not check:
        return save_file(values | committed, path, {"format": "pt"})
    for name, value in values.items():
        worst = ((value - committed[name]).abs().max() / value.abs().max()).item()
        print(f"hugging_face {name:10} committed file {worst:9.1e}")
        if worst > TOLERANCE:
            sys.exit(f"the committed goldens differ by more than {TOLERANCE}")


if __name__ == "__main__":
    main()
