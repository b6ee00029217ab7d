"""Class names and prompts of the standard data sets, as published: writes published.json.

Run:  python3 -m pip install --no-deps -r native/src/data/published/requirements.txt
      python3 native/src/data/published/published.py

Nothing of the packages is executed but open_clip's file of metadata, which has no imports.
"""

import importlib.util
import json
import pathlib
from importlib.metadata import distribution


def read(package, path):
    return distribution(package).locate_file(path).read_text(encoding="utf-8")


def indices(kind, wnids):
    """A subset of the 1,000 classes: timm gives it twice, as numbers and as names."""
    numbers = [int(line) for line in read("timm", f"timm/data/_info/imagenet_{kind}_indices.txt").split()]
    named = read("timm", f"timm/data/_info/imagenet_{kind}_synsets.txt").split()
    assert [wnids[i] for i in numbers] == named and sorted(named) == named and len(named) == 200
    return numbers


def main():
    path = distribution("open_clip_torch").locate_file("open_clip/zero_shot_metadata.py")
    spec = importlib.util.spec_from_file_location("zero_shot_metadata", path)
    openai = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(openai)
    wnids = read("timm", "timm/data/_info/imagenet_synsets.txt").split()
    names = list(openai.IMAGENET_CLASSNAMES)
    templates = [template("{}") for template in openai.OPENAI_IMAGENET_TEMPLATES]
    load = lambda kind: json.loads(read("clip-benchmark", f"clip_benchmark/datasets/en_{kind}.json"))
    other_names, others = load("classnames"), load("zeroshot_classification_templates")
    placed = lambda name: [template.replace("{c}", "{}") for template in others[name]]
    # Two packages agree on what they both have.
    assert names == other_names["imagenet1k"] and templates == placed("imagenet1k")
    assert len(names) == len(wnids) == 1000 and sorted(wnids) == wnids and len(templates) == 80
    assert [names[i] for i in (933, 954, 980)] == ["cheeseburger", "banana", "volcano"]
    assert placed("cifar10") == placed("cifar100")
    out = {
        "imagenet": {"wnids": wnids, "names": names, "templates": templates,
                     "a": indices("a", wnids), "r": indices("r", wnids)},
        "cifar": {"templates": placed("cifar100")},
        "pets": {"names": other_names["pets"], "templates": placed("pets")},
    }
    lines = [f'"{key}": ' + json.dumps(part, ensure_ascii=False) for key, part in out.items()]
    pathlib.Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
