"""Curves as SVG, the same bytes for the same numbers."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "toxiclip", "svg.fonttype": "none", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.ticker import LogLocator  # noqa: E402


def curve(path, points, label, titles):
    """One picture, both axes logarithmic. Points are {program: [[value, seconds], …]}."""
    figure, axes = plt.subplots(figsize=(4.6, 3.0), layout="constrained")
    per_pair = "toxiclip" in points
    for (name, line), marker in zip(points.items(), "os^D"):
        values, seconds = zip(*line)
        costs = [s * 1e3 if per_pair else s for s in seconds]
        axes.loglog(values, costs, marker=marker, label=titles.get(name, name))
    ticks = sorted({value for line in points.values() for value, _ in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("milliseconds a pair" if per_pair else "seconds")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
