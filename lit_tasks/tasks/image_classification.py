"""Which classes an image belongs to: a pretrained backbone and a linear head."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from lit_tasks.batch import FeatureBatch, ImageBatch
from lit_tasks.distributed.lightning_internals import is_attached
from lit_tasks.functional.calibration import fit_temperature
from lit_tasks.metrics.gathered_values import GatheredValues
from lit_tasks.metrics.label_metrics import LabelMetrics
from lit_tasks.nn.image.classifier import LinearHead
from lit_tasks.nn.image.finetuning import Finetuning, build_optimizer
from lit_tasks.nn.image.mixing import Mixing
from lit_tasks.nn.image.onnx import StatedProbabilities, export_classifier
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.protocols import (
    DescribesSamples,
    HasLabels,
    HasPredictFiles,
    HasTrainFeatures,
    ShowsSamples,
    Split,
    attributes,
    label_separator,
    required,
)
from lit_tasks.tasks.class_probabilities import add_probabilities
from lit_tasks.tasks.classification_figures import drawn, metric_figures
from lit_tasks.tasks.decisions import (
    ClassWeights,
    Decision,
    OneLabel,
    SeveralLabels,
    Threshold,
    chosen_weights,
    decision_of,
    threshold_of,
)
from lit_tasks.tasks.initialization import initialize_head
from lit_tasks.tasks.optimization import OptimizedModule, train_stages
from lit_tasks.tasks.train_loss import TrainMean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Batch = ImageBatch | FeatureBatch


class ImageClassificationTask(OptimizedModule):
    """Give each image one of a few labels, or several.

    Without ``finetuning`` the backbone is frozen: it is bit for bit the same after training.

    Args:
        backbone: Builds the backbone; told whether to load its pretrained weights.
        finetuning: How the backbone is trained; not at all when left out.
        head_init: What the head begins with: ``zero``, or what the layer that the backbone was
            ``pretrained`` with says about the training images.
        dropout: Fraction of the features left out in front of the head while training.
        mixing: How training images are mixed with each other.
        class_weights: Whether rare classes weigh more in the training loss, or how much each class
            weighs, 1 where it is not named. Of several labels an image, it is what the presence of
            a label weighs.
        metrics: More metrics by name, updated with probabilities and targets, such as
            ``torchmetrics.classification.MulticlassCohenKappa``.
        flip_tta: Whether ``validate``, ``test`` and ``predict`` take the mean of the scores of an
            image and its mirror image.
        top_k: How many labels a prediction names.
        threshold: Where images may have several labels: the probability from which a label is
            given, one for all (0.5 when left out) or one for each.
        labels: Names of the classes; taken from the data.
        preprocessing: What the backbone wants to see; taken from its weights.
        kwargs: Options of :class:`~lit_tasks.tasks.optimization.OptimizedModule`.
    """

    temperature: Tensor
    weights: Tensor
    all_probabilities = False  #: Whether predictions state the probability of every label.

    def __init__(
        self,
        backbone: Callable[[bool], nn.Module],
        finetuning: Finetuning | None = None,
        head_init: Literal["zero", "pretrained"] = "zero",
        dropout: float = 0.0,
        mixing: Mixing = Mixing(),  # noqa: B008 - frozen
        class_weights: ClassWeights = False,
        metrics: dict[str, Metric] | None = None,
        flip_tta: bool = False,
        top_k: int = 3,
        threshold: Threshold | None = None,
        labels: list[str] | None = None,
        preprocessing: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.train_loss = TrainMean("train/loss")
        self.make_backbone, self.finetuning, self.mixing = backbone, finetuning, mixing
        self.head_init, self.dropout = head_init, dropout
        self.class_weights, self.more_metrics = class_weights, metrics
        self.flip_tta, self.top_k = flip_tta, top_k
        self.decision: Decision | None = None
        self.metrics: LabelMetrics | None = None
        self.backbone: Any = None
        self.head: Any = None
        self.register_buffer("temperature", torch.tensor(1.0, dtype=torch.float64))
        self._evaluated: tuple[Tensor, Tensor] | None = None
        self._from_data = False
        if labels is not None:
            self._build(labels, threshold, pretrained=False)
            if preprocessing is not None:
                used = Preprocessing.from_plain(preprocessing)
                self.backbone.use(used)  # type: ignore[attr-defined, unused-ignore]

    # What the data ask for.

    @property
    def preprocessing(self) -> Preprocessing:
        """What images have to be made into."""
        found: Preprocessing = self.backbone.preprocessing
        return found

    def frozen_network(self, split: str) -> nn.Module | None:
        """Return the backbone if its features of a split never change, else ``None``."""
        mixes = split == "train" and self.mixing
        if self.finetuning is not None or mixes or split == "predict" or self._flips_now():
            return None
        network: nn.Module = self.backbone
        return network

    # Building.

    def configure_model(self) -> None:
        """Build for the labels of the data, unless a checkpoint said them."""
        if self.head is None:
            data = attributes(self.trainer).datamodule
            labels = list(required(data, HasLabels, self).labels)
            self._build(labels, threshold_of(data, self.hparams["threshold"]), pretrained=True)
            self._from_data = True
            if self.class_weights:
                assert self.decision is not None
                self.weights.copy_(
                    chosen_weights(self.decision, self.class_weights, data=data, asker=self)
                )
        train_stages(self, self.backbone, self.finetuning)

    def _build(self, labels: list[str], threshold: Threshold | None, *, pretrained: bool) -> None:
        self.backbone = self.make_backbone(pretrained)
        told = {"labels": labels, "threshold": threshold}
        self.hparams.update(told, preprocessing=self.preprocessing.plain())
        self.decision = decision_of(labels, threshold)
        if self.head_init == "pretrained" and isinstance(self.decision, SeveralLabels):
            raise ValueError(
                "head_init: pretrained is for images with one label each; set it to zero where"
                " they may have several"
            )
        self.head = LinearHead(self.backbone.out_features, len(labels), self.dropout)
        self.register_buffer("weights", torch.ones(len(labels)))
        self.gathered = GatheredValues(len(labels), isinstance(self.decision, SeveralLabels))
        self.metrics = self.decision.metrics(self.more_metrics, raw=True)
        self.metrics.has_all_samples()
        self.backbone.freeze()

    def on_fit_start(self) -> None:
        """Initialize a new head from the training images' features as they are by now."""
        if not self._from_data:
            return
        self._from_data = False
        initialize_head(
            self, self.head, samples=self._training_images, num_classes=len(self.hparams["labels"])
        )

    def _training_images(self) -> Iterable[tuple[Tensor, Tensor]] | None:
        """Return features of all training images at once, where the data have them."""
        data = attributes(self.trainer).datamodule
        if not isinstance(data, HasTrainFeatures):
            return None
        if self.head_init == "pretrained":
            if self.backbone.last_layer is None:
                raise ValueError(
                    "head_init: pretrained needs weights with a last layer; set it to zero"
                )
            self.head.pretrained = self.backbone.last_layer
        values, labels = data.train_features(self.backbone)
        return [(torch.from_numpy(values), torch.as_tensor(labels))]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and what changes its learning rate."""
        optimizer = build_optimizer(
            self.optimizer, self.head, backbone=self.backbone, finetuning=self.finetuning
        )
        return self.scheduled(optimizer)

    # Freezing.

    def on_train_start(self) -> None:
        """Train the stages of the epoch, also where a run continues within one."""
        train_stages(self, self.backbone, self.finetuning)

    def on_train_epoch_start(self) -> None:
        """Train the stages of the epoch."""
        train_stages(self, self.backbone, self.finetuning)

    # Steps.

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits of the classes, ``(B, C)``."""
        if isinstance(batch, FeatureBatch):
            return self._logits(batch.features)
        logits = self._logits(self.backbone(batch.image))
        if not self.training and self._flips_now():
            logits = (logits + self._logits(self.backbone(batch.image.flip(-1)))) / 2
        return logits

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features)
        return logits

    def _flips_now(self) -> bool:
        fitting = is_attached(self) and self.trainer.state.fn == TrainerFn.FITTING
        return self.flip_tta and not fitting

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        assert batch.label is not None
        assert self.decision is not None
        target: Tensor = batch.label
        if isinstance(batch, ImageBatch) and self.mixing:
            classes = len(self.hparams["labels"])
            image, target = self.mixing(batch.image, target, num_classes=classes)
            batch = batch._replace(image=image)
        loss = self.decision.loss(
            self(batch), target, smoothing=self.label_smoothing, weights=self.weights
        )
        self.train_loss.update(self, loss, len(target))
        return loss

    @property
    def unlike_in_training(self) -> tuple[str, ...]:
        """The training loss has neither temperature nor, maybe, the true labels alone."""
        return ("loss",)

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each metric is better, by its name without the stage."""
        return {} if self.metrics is None else self.metrics.higher_is_better

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Keep the logits of a batch; return what was predicted of each image, and how well."""
        assert batch.label is not None
        assert self.decision is not None
        logits = self(batch)
        self.gathered.update(batch.index, logits, batch.label)
        return self.decision.by_sample(logits.double() / self.temperature, batch.label)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics; while fitting, fit the temperature to the scores first."""
        assert self.metrics is not None
        logits, target = self.gathered.samples()  # of all processes, also one without a batch
        self.gathered.reset()
        self._evaluated = logits, target
        # A sanity check sees few images, and is made again where a run is resumed between epochs.
        fits = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        if fits and isinstance(self.decision, OneLabel):
            self.temperature.fill_(fit_temperature(logits, target))
        self.metrics.reset()
        self.metrics.update(logits, target, float(self.temperature))
        stage = self.trainer.state.stage.dataloader_prefix  # type: ignore[union-attr]
        self.log_dict({f"{stage}/{name}": v for name, v in self.metrics.compute().items()})

    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        """Return file and most probable labels of each image, with their probabilities."""
        assert self.decision is not None
        data = attributes(self.trainer).datamodule if is_attached(self) else None
        probability = self.decision.probability(self(batch).double() / self.temperature)
        rows = self.decision.rows(probability, top_k=self.top_k, separator=label_separator(data))
        if self.all_probabilities:
            add_probabilities(rows, self.hparams["labels"], probability)
        names = self._predict_files()
        files = [{} if names is None else {"file": names[i]} for i in batch.index.tolist()]
        return [file | row for file, row in zip(files, rows, strict=True)]

    def _predict_files(self) -> Sequence[str] | None:
        """Return the files that a trainer predicts; whoever calls the task itself knows them."""
        if not is_attached(self) or self.trainer.state.fn != TrainerFn.PREDICTING:
            return None
        data = attributes(self.trainer).datamodule
        return data.predict_files if isinstance(data, HasPredictFiles) else None

    # What is kept and shown.

    def export_onnx(self, path: Path) -> None:
        """Write an ONNX file of images to probabilities, with labels and preprocessing inside."""
        several = isinstance(self.decision, SeveralLabels)
        model = StatedProbabilities(
            self.backbone, self.head, temperature=float(self.temperature), several=several
        )
        export_classifier(
            model, self.hparams["labels"], preprocessing=self.preprocessing, path=path
        )

    def scores_by_class(self) -> list[dict[str, Any]]:
        """Return precision, recall, F1 and samples of each class in the last evaluation."""
        return [] if self.metrics is None else self.metrics.scores_by_class()

    def figures(self, stage: str) -> "dict[str, Figure]":
        """Return the figures of the last evaluation, by name."""
        if self._evaluated is None or not len(self._evaluated[1]):
            return {}
        assert self.decision is not None
        assert self.metrics is not None
        if isinstance(self.decision, SeveralLabels):
            return metric_figures(self.metrics)
        logits, target = (tensor.cpu() for tensor in self._evaluated)
        probability = self.decision.probability(logits.double() / self.temperature.cpu())
        data = attributes(self.trainer).datamodule
        split: Split = "test" if stage == "test" else "val"
        images = partial(data.shown, split) if isinstance(data, ShowsSamples) else None

        def files(indices: Sequence[int]) -> list[str]:
            assert isinstance(data, DescribesSamples)
            return [str(row.get("file", "")) for row in data.describe(split, indices)]

        names = files if isinstance(data, DescribesSamples) else None
        return drawn(probability, target, labels=self.hparams["labels"], show=images, files=names)
