"""One training run: a budget of minutes, checkpoints that are picked up again, a moving average, a log."""

import json
import math
import os
import sys
import time

import torch


def cosine(fraction, floor=0.03):
    """A learning rate that falls along half a cosine to `floor`."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fraction))


class Session:
    """Iterates over the fraction of the budget that is used and keeps the state on disk.

    A run that was stopped goes on where its checkpoint stands; the minutes already used count. `decay` is
    the moving average of the weights (None for none), which is what the export takes.
    """

    def __init__(self, work, name, minutes, net, optimizer, decay=None, clip=1.0, every=500, **facts):
        self.work, self.name, self.minutes, self.net, self.optimizer = work, name, minutes, net, optimizer
        self.decay, self.clip, self.every, self.facts = decay, clip, every, facts
        self.step_count, self.used, self.start = 0, 0.0, time.monotonic()
        self.average = {key: value.clone() for key, value in net.state_dict().items()} if decay else None
        self.sums, self.count = {}, 0
        path = work.checkpoint(name)
        if path.exists():
            state = torch.load(path, weights_only=False)
            net.load_state_dict(state["net"])
            if "opt" in state:
                optimizer.load_state_dict(state["opt"])
            self.average = state.get("ema", self.average)
            self.step_count, self.used = state.get("step", 0), state.get("t", 0.0)

    @property
    def now(self):
        """Minutes used in all."""
        return self.used + (time.monotonic() - self.start) / 60

    def __iter__(self):
        while (now := self.now) < self.minutes:
            yield now / self.minutes
        self.save()

    def update(self, loss, **figures):
        """One step of the optimiser; the figures are averaged into the log."""
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.optimizer.step()
        self.step_count += 1
        if self.decay:
            decay = min(self.decay, (1 + self.step_count) / (10 + self.step_count))
            with torch.no_grad():
                for key, value in self.net.state_dict().items():
                    if value.is_floating_point():
                        self.average[key].lerp_(value, 1 - decay)
        for key, value in {"loss": loss, **figures}.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(torch.as_tensor(value).detach())
        self.count += 1
        if self.step_count % 50 == 0:
            self.log(**{key: round(value / self.count, 4) for key, value in self.sums.items()})
            self.sums, self.count = {}, 0
        if self.step_count % self.every == 0:
            self.save()

    def log(self, **figures):
        line = {"stage": self.name, "minutes": round(self.now, 2), "step": self.step_count, **figures}
        with open(self.work / "curves.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = " ".join(f"{key} {value}" for key, value in line.items())
        print(shown, end="\r\033[K" if sys.stdout.isatty() else "\n", flush=True)

    def save(self, **more):
        self.facts.update(more)
        state = {"net": self.net.state_dict(), "opt": self.optimizer.state_dict(), "step": self.step_count}
        if self.average:
            state["ema"] = self.average
        temporary = self.work / f"{self.name}.tmp"
        torch.save({**state, **self.facts, "t": self.now}, temporary)
        os.replace(temporary, self.work.checkpoint(self.name))


def plot(work):
    """The curves of every stage as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in open(work / "curves.jsonl", encoding="utf-8")]
    stages = sorted({line["stage"] for line in lines})
    figure, axes = pyplot.subplots(len(stages), 1, figsize=(9, 2.6 * len(stages)), squeeze=False)
    for axis, stage in zip(axes[:, 0], stages):
        own = [line for line in lines if line["stage"] == stage]
        for key in sorted({key for line in own for key in line} - {"stage", "minutes", "step"}):
            points = [(line["minutes"], line[key]) for line in own if isinstance(line.get(key), (int, float))]
            axis.plot(*zip(*points), label=key)
        axis.set_title(stage)
        axis.set_xlabel("minutes")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(work / "curves.png", dpi=110)
