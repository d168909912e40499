"""Paint a photograph like a painting: its pixels are what is optimized."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch import distributed as dist

from lit_tasks.batch import StyleBatch
from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.distributed.lightning_internals import is_attached
from lit_tasks.metrics.gathered_values import GatheredValues
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleLosses, StyleObjective, loss_names, off_scale
from lit_tasks.nn.style.stylization import ColorMode, Init, Phase, Stylization, check, masks
from lit_tasks.nn.style.tiles import TiledStyleObjective
from lit_tasks.protocols import StyleData, attributes, required
from lit_tasks.sampling import derived_seed
from lit_tasks.tasks.optimization import shows_step
from lit_tasks.tasks.style_figures import drawn, pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class StyleTransferTask(CheckedLoading, LightningModule):
    """Make, for every pair of the data, an image of the photograph in the painting's style.

    An epoch works on one group of pairs (the data's ``batch_size``), and each of its steps is one
    step of every pair in it; the run ends after the last group. So a group that is finished lies
    behind a run that is continued, and a step in the middle of an image is a step like any other.

    An image belongs to the one process that makes it. Its pixels are therefore no parameters of
    this module: with Lightning's automatic optimization DDP would average the gradients of
    different images, L-BFGS would search one line for all of them, and gradients would be
    weighted as style_weights of a batch. Optimization is manual, of one
    :class:`~lit_tasks.nn.style.Stylization` a pair. What Lightning gets is one parameter that
    stays zero, whose optimizer counts the steps, and through which the loss reaches whatever
    callback looks at losses.

    A checkpoint holds finished images as whole numbers, the pixels and optimizers of those that
    are worked on, of all processes, and not the network.

    Args:
        content: Weight of the content loss of each layer.
        style: Weight of the style loss of each layer.
        phases: What is done to an image, phase after phase.
        tv_weight: Weight of the total variation of the normalized image.
        losses: How features are compared with those of photograph and painting.
        init: An image starts as ``content``, as that with the painting's colors (``matched``),
            as ``noise``, or as noise in the colors of the ``style``.
        ema_decay: Decay of a mean over steps that is taken as the image; 0 takes the last step.
        color_mode: Of the ``style``; ``luma`` keeps the photograph's and changes light and dark
            only; ``match`` gives the painting the photograph's colors first.
        seed: Of the noise, together with the pair's number.
        tile: Pixels a side of the parts that a large image is computed in, to the same gradient
            in less memory and more time; the whole at once when left out.
        expected_rms: Root mean square of layers' features that the weights of the losses were
            chosen for; a sentence warns where those of an image are four times off.
        kwargs: Options of :class:`~lit_tasks.nn.style.features.StyleFeatures`: the network that
            looks.
    """

    def __init__(
        self,
        content: dict[str, float],
        style: dict[str, float],
        phases: list[Phase],
        tv_weight: float = 0.0,
        losses: StyleLosses = StyleLosses(),  # noqa: B008 - frozen
        init: Init = "content",
        ema_decay: float = 0.0,
        color_mode: ColorMode = "style",
        seed: int = 0,
        tile: int | None = None,
        expected_rms: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check(phases)
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {ema_decay}")
        if not style:
            raise ValueError("style needs at least one layer with its weight")
        self.of_network = kwargs
        self.content, self.style = content, style
        self.tv_weight, self.losses, self.tile = tv_weight, losses, tile
        self.expected_rms = expected_rms or {}
        self.phases, self.init, self.ema_decay = phases, init, ema_decay
        self.color_mode, self.seed = color_mode, seed
        self.automatic_optimization = False
        self.strict_loading = False  # images are not parameters, and the network is not kept
        self.anchor = nn.Parameter(torch.zeros(()))
        self.objective: StyleObjective | None = None
        self.at_work: dict[int, Stylization] = {}
        self.images: dict[int, Tensor] = {}
        self.traces: dict[int, Tensor] = {}
        self._waiting: dict[int, dict[str, Any]] = {}  # images in the middle, of a checkpoint
        self._group: dict[int, str] = {}
        self._network: Any = None  # fingerprint of the network that a checkpoint was made with

    @property
    def steps(self) -> int:
        """How many steps an image takes."""
        return sum(phase.steps for phase in self.phases)

    @property
    def loss_names(self) -> list[str]:
        """What the parts of the loss are called."""
        return loss_names(self.content, self.style)

    # Building.

    def configure_model(self) -> None:
        """Build the network, unless only finished images are asked for."""
        if self.objective is None and is_attached(self) and not self.trainer.predicting:
            self.objective = self._make_objective()
            self.evaluated = GatheredValues(len(self.loss_names))

    def _make_objective(self) -> StyleObjective:
        layers = list(dict.fromkeys([*self.content, *self.style]))
        features = StyleFeatures(layers, **self.of_network)
        options: dict[str, Any] = {"tv_weight": self.tv_weight, "losses": self.losses}
        if self.tile is None:
            return StyleObjective(features, self.content, self.style, **options)
        return TiledStyleObjective(features, self.content, self.style, tile=self.tile, **options)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return what counts the steps: it changes nothing."""
        return torch.optim.SGD([self.anchor], lr=0.0)

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each metric is better, by its name without the stage: all are losses."""
        return dict.fromkeys(("loss", *self.loss_names), False)

    def on_fit_start(self) -> None:
        """End after the last group of pairs."""
        data = self._data()
        groups = -(-len(data.names) // data.batch_size)
        limit = self.trainer.max_epochs
        limited = groups if limit is None or limit < 0 else min(limit, groups)
        self.trainer.fit_loop.max_epochs = limited

    def _data(self) -> StyleData:
        return required(attributes(self.trainer).datamodule, StyleData, self)

    # Making images.

    def training_step(self, batch: StyleBatch, batch_idx: int) -> None:
        """Make one step of every image of this process."""
        world, rank = self.trainer.world_size, self.trainer.global_rank
        # A process that has nothing to do is kept in step with a pair of another one.
        mine = [n for n, slot in enumerate(batch.slot) if slot % world == rank]
        indices = batch.index.tolist()
        self._group = {indices[n]: batch.names[n] for n in mine}
        losses = [self._advance(batch, n, indices[n]) for n in mine]
        slots = [batch.slot[n] for n in mine]
        total = torch.stack(losses).sum() if losses else torch.zeros((), device=self.device)
        self.manual_backward(total + 0 * self.anchor)
        if shows_step(self):
            self._log_losses(losses, slots, indices[0] - batch.slot[0])
        counter = self.optimizers()
        assert not isinstance(counter, list)
        counter.step()

    def _advance(self, batch: StyleBatch, row: int, index: int) -> Tensor:
        """Make one step of an image; return its losses."""
        if index in self.images and index not in self.at_work and index not in self._waiting:
            return self.traces[index][-1].to(self.device)
        job = self.at_work.get(index) or self._begin(batch, row, index)
        losses = job.step()
        if job.done == self.steps:
            del self.at_work[index]
            self.images[index] = job.image().cpu()
            self.traces[index] = torch.stack(job.trace).cpu()
        return losses

    def _begin(self, batch: StyleBatch, row: int, index: int) -> Stylization:
        assert self.objective is not None
        assert batch.content is not None
        assert batch.styles is not None
        job = Stylization(
            self.objective,
            batch.content[row],
            styles=batch.styles[row],
            style_weights=batch.style_weights[row],
            phases=self.phases,
            init=self.init,
            ema_decay=self.ema_decay,
            color_mode=self.color_mode,
            seed=derived_seed(self.seed, index),
            init_image=batch.init[row] if batch.init else None,
            regions=batch.regions[row] if batch.regions else (),
        )
        if said := off_scale(job.targets, self.expected_rms):
            rank_zero_warn(said)
            self.expected_rms = {}  # once is enough
        waiting = self._waiting.pop(index, None)
        if waiting is not None:
            job.load_state_dict(waiting)
        self.at_work[index] = job
        return job

    def _log_losses(self, losses: list[Tensor], slots: list[int], first: int) -> None:
        """Log the mean over the group's images, of all processes."""
        data = self._data()
        size = min(data.batch_size, len(data.names) - first)
        rows = torch.zeros(size, len(self.loss_names), dtype=torch.float64, device=self.device)
        for slot, row in zip(slots, losses, strict=True):
            rows[slot] = row
        rows = self.trainer.strategy.reduce(rows, reduce_op="sum")
        self.log("train/loss", rows.sum(dim=1).mean(), prog_bar=True, batch_size=1)
        values = dict(zip(self.loss_names, rows.mean(dim=0), strict=True))
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=1)

    # Judging images.

    def validation_step(self, batch: StyleBatch, batch_idx: int) -> None:
        """Measure the finished images, as they are saved."""
        rows = []
        for position, index in enumerate(batch.index.tolist()):
            at_work = self.trainer.state.fn == TrainerFn.FITTING and index in self.at_work
            if index not in self.images or at_work:  # not there yet, or a limit ended the run
                rows.append(torch.full((len(self.loss_names),), torch.nan, device=self.device))
            else:
                rows.append(self._losses_of(batch, position, index))
        self.evaluated.update(batch.index, torch.stack(rows), torch.zeros_like(batch.index))

    def _losses_of(self, batch: StyleBatch, row: int, index: int) -> Tensor:
        assert self.objective is not None
        assert batch.content is not None
        assert batch.styles is not None
        content = batch.content[row]
        image = self.images[index].to(self.device)
        if image.shape != content.shape:
            sizes = [f"{shape[2]} x {shape[1]}" for shape in (image.shape, content.shape)]
            raise ValueError(
                f"the image of {batch.names[row]} is {sizes[0]} and its photograph now "
                f"{sizes[1]} pixels: set image_size as it was, or finish the image"
            )
        normalize = self.objective.features.normalize
        styles = [normalize(style[None] / 255) for style in batch.styles[row]]
        style_weights = batch.style_weights[row]
        regions = masks(batch.regions[row]) if batch.regions else []
        photograph = normalize(content[None] / 255)
        targets = self.objective.targets(photograph, styles, style_weights, regions=regions)
        return self.objective.losses(normalize(image[None] / 255), targets)

    def on_validation_epoch_end(self) -> None:
        """Log the mean losses of the finished images."""
        rows, _ = self.evaluated.samples()
        self.evaluated.reset()
        pairs, rows = len(rows), rows[rows.isfinite().all(dim=1)].double()
        if self.trainer.state.fn != TrainerFn.FITTING and len(rows) < pairs:
            missing = f"{pairs - len(rows)} of {pairs} pairs have no image in the checkpoint yet"
            rank_zero_info(f"{missing}: --resume=true without a limit goes on")
        if not len(rows):
            return
        values = {"loss": rows.sum(dim=1).mean()}
        values |= dict(zip(self.loss_names, rows.mean(dim=0), strict=True))
        values["samples"] = torch.tensor(float(len(rows)))
        stage = self.trainer.state.stage.dataloader_prefix  # type: ignore[union-attr]
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: StyleBatch, batch_idx: int) -> list[dict[str, str | int | float]]:
        """Return file, size and losses of each image; of one that is not there yet, no file.

        Photographs that a batch shows are painted first.
        """
        if batch.content is not None:
            self._paint(batch)
        rows: list[dict[str, str | int | float]] = []
        for index, name in zip(batch.index.tolist(), batch.names, strict=True):
            if index not in self.images:
                rows.append({"file": "", "width": 0, "height": 0, "steps": 0, "loss": math.nan})
                rows[-1] |= dict.fromkeys(self.loss_names, math.nan)
                continue
            image = self.images[index]
            row: dict[str, str | int | float] = {"file": f"images/{name}.png"}
            row |= {"width": image.shape[2], "height": image.shape[1]}
            last = self.traces[index][-1].tolist()
            row |= {"steps": len(self.traces[index]), "loss": sum(last)}
            rows.append(row | dict(zip(self.loss_names, last, strict=True)))
        return rows

    def _paint(self, batch: StyleBatch) -> None:
        """Make the images of photographs that were not there in training, from start to end."""
        with torch.inference_mode(False), torch.enable_grad():
            if self.objective is None:
                self.objective = self._make_objective().to(self.device)
                self._check_network(self._network)
            for position, index in enumerate(batch.index.tolist()):
                job = self._begin(batch, position, index)
                while job.done < self.steps:
                    job.step()
                del self.at_work[index]
                self.images[index], self.traces[index] = job.image().cpu(), torch.stack(job.trace)

    # What is kept and shown.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep images instead of the network; all processes have to call this together."""
        super().on_save_checkpoint(checkpoint)
        mine = {
            "images": dict(self.images),
            "traces": dict(self.traces),
            "working": {n: _on_cpu(job.state_dict()) for n, job in self.at_work.items()},
        }
        mine["images"] |= {n: job.image().cpu() for n, job in self.at_work.items()}
        parts = self._gathered(mine)
        whole = {kind: {n: v for part in parts for n, v in part[kind].items()} for kind in mine}
        data = self._data()
        checkpoint["state_dict"] = {"anchor": self.anchor.detach().clone()} | {
            f"images.{n}": whole["images"][n] for n in sorted(whole["images"])
        }
        checkpoint["stylization"] = {
            "traces": whole["traces"],
            "working": whole["working"],
            "names": list(data.names),
            "network": self.objective and self.objective.features.fingerprint(),
        }

    def _gathered(self, mine: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what all processes have on the first one, which writes; elsewhere its own."""
        if self.trainer.world_size == 1:
            return [mine]
        parts: list[Any] = [None] * self.trainer.world_size
        first = self.trainer.is_global_zero
        dist.gather_object(mine, parts if first else None)
        return parts if first else [mine]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over all images; those in the middle wait until their turn comes."""
        kept = checkpoint["stylization"]
        self._network = kept["network"]
        self._check_network(self._network)
        self.at_work.clear()
        self.images = {
            int(key.removeprefix("images.")): image
            for key, image in checkpoint["state_dict"].items()
            if key.startswith("images.")
        }
        checkpoint["state_dict"] = {"anchor": checkpoint["state_dict"]["anchor"]}
        self.traces, self._waiting = dict(kept["traces"]), dict(kept["working"])
        for n, state in self._waiting.items():
            if is_attached(self) and self.trainer.state.fn == TrainerFn.FITTING:
                del self.images[n]  # one process goes on with it, and the others know nothing
            else:
                self.traces[n] = state["trace"]

    def _check_network(self, kept: Any) -> None:
        now = None if self.objective is None else self.objective.features.fingerprint()
        if None not in (now, kept) and now != kept:
            raise ValueError(
                f"the checkpoint was made with the network {kept}, now it is {now}: "
                "give the weights it was made with"
            )

    def images_at_work(self) -> list[dict[str, Any]]:
        """Return what this process works on: names, steps, images and losses as they are now."""
        rows = []
        for index, name in self._group.items():
            job = self.at_work.get(index)
            image = self.images[index] if job is None else job.image()
            trace = self.traces[index] if job is None else torch.stack(job.trace)
            columns = trace.cpu().T.tolist()
            rows.append(
                {
                    "name": name,
                    "step": len(trace),
                    "steps": self.steps,
                    "image": pixels(image),
                    "losses": dict(zip(self.loss_names, columns, strict=True)),
                }
            )
        return rows

    def image_of(self, index: int) -> np.ndarray | None:
        """Return an image if it is there, ``(H, W, 3)`` of whole numbers up to 255."""
        return pixels(self.images[index]) if index in self.images else None

    def figures(self, stage: str) -> "dict[str, Figure]":
        """Return images beside what they were made of, and the losses over the steps."""
        data = self._data()
        return drawn(data, self.images, self.traces)


def _on_cpu(value: Any) -> Any:
    """Return a state whose tensors are in main memory, for other processes and the file."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(child) for key, child in value.items()}
    return [_on_cpu(child) for child in value] if isinstance(value, list) else value
