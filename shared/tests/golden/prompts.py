"""Golden values of visual prompt tuning (prompting.rs) from PyTorch's autograd over open_clip's own blocks.

The image tower of `vit.json` with the weights of `vit.start.safetensors` gets prompts in its last blocks: each block sees them
between class token and patches, as Jia et al. 2022 insert them, and what it gives for them is thrown away. The loss is RVPT's:
cross-entropy of class prompts plus WEIGHT times the mean cosine of class tokens with those of the tower without prompts. All
weights but the prompts are constants; STEPS steps of PyTorch's SGD. Double precision throughout.

Writes `prompts.safetensors`: prompts, labels, class vectors; embeddings, loss and its terms, gradients of the first step;
losses of all steps and the last prompts.
"""

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from encoders import build

FOLDER = Path(__file__).parent
FROM, LENGTH, CLASSES, STEPS = 0, 3, 7, 5
WEIGHT, SCALE, LR, MOMENTUM = 2.0, 14.0, 0.1, 0.9


def walk(visual, pixels, prompts):
    """Embeddings (B, D) and the class token after every block."""
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([first, x], 1) + visual.positional_embedding)
    tokens = []
    for i, block in enumerate(visual.transformer.resblocks):
        own = prompts.get(i)
        if own is None:
            x = block(x)
        else:
            seen = torch.cat([x[:, :1], own.expand(len(x), -1, -1), x[:, 1:]], 1)
            out = block(seen)
            x = torch.cat([out[:, :1], out[:, 1 + len(own) :]], 1)
        tokens.append(x[:, 0])
    return visual.ln_post(x[:, 0]) @ visual.proj, tokens


def main():
    logging.disable(logging.WARNING)
    torch.manual_seed(7)
    model = build(FOLDER / "vit.json")
    model.load_state_dict(load_file(FOLDER / "vit.start.safetensors"))
    model = model.double().eval().requires_grad_(False)
    pixels = load_file(FOLDER / "vit.values.safetensors")["pixels"].double()
    visual = model.visual
    plain, before = walk(visual, pixels, {})
    assert torch.allclose(plain, model.encode_image(pixels), atol=1e-12), "this is not open_clip's tower"
    width, blocks = len(visual.class_embedding), len(visual.transformer.resblocks)
    # Single precision first, so that both sides start from the same numbers.
    draw = lambda *shape: torch.randn(*shape).float().double()
    prompts = {i: torch.nn.Parameter(0.3 * draw(LENGTH, width)) for i in range(FROM, blocks)}
    classes = F.normalize(draw(CLASSES, plain.shape[1]), dim=-1).float().double()
    labels = torch.randint(CLASSES, (len(pixels),))
    out = {f"prompts/{i}": p.detach().clone() for i, p in prompts.items()}
    optimizer = torch.optim.SGD(prompts.values(), lr=LR, momentum=MOMENTUM)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        embeddings, tokens = walk(visual, pixels, prompts)
        logits = SCALE * F.normalize(embeddings, dim=-1) @ classes.T
        class_loss = F.cross_entropy(logits, labels)
        pairs = zip(tokens[FROM:], before[FROM:])
        likeness = torch.stack([F.cosine_similarity(a, b, dim=-1).mean() for a, b in pairs]).mean()
        loss = class_loss + WEIGHT * likeness
        loss.backward()
        losses.append(loss.detach())
        if step == 0:
            out |= {"embeddings": embeddings.detach(), "plain": plain}
            out |= {"class": class_loss.detach()[None], "likeness": likeness.detach()[None]}
            out |= {f"gradients/{i}": p.grad.clone() for i, p in prompts.items()}
        optimizer.step()
    out |= {"losses": torch.stack(losses), "classes": classes, "labels": labels}
    out |= {f"end/{i}": p.detach().clone() for i, p in prompts.items()}
    single = {k: v.float() if v.is_floating_point() else v for k, v in out.items()}
    save_file({k: v.contiguous() for k, v in single.items()}, FOLDER / "prompts.safetensors", {"format": "pt"})
    print("losses", [round(x.item(), 6) for x in losses])


if __name__ == "__main__":
    main()
