"""Which of a few labels a text has: an encoder by class path, and a linear head."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from lit_tasks.batch import TextBatch
from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.functional.calibration import class_weights as weights_of
from lit_tasks.metrics.classification import ClassificationMetrics
from lit_tasks.nn.text.onnx import export_text_classifier
from lit_tasks.protocols import (
    HasTrainClassCounts,
    MakesHead,
    TextData,
    attributes,
    required,
)
from lit_tasks.tasks.class_probabilities import add_probabilities
from lit_tasks.tasks.initialization import initialize_head, initialize_words
from lit_tasks.tasks.optimization import (
    Decay,
    TunableLearningRate,
    check_schedule,
    scheduled,
)
from lit_tasks.tasks.train_loss import TrainMean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TextClassificationTask(TunableLearningRate, CheckedLoading, LightningModule):
    """Give each text one of a few labels.

    Args:
        encoder: Builds the encoder from the size of the vocabulary.
        optimizer: Builds the optimizer from the parameters.
        lr_scheduler: Builds a scheduler that is stepped after every epoch; ``OneCycleLR`` and
            ``CyclicLR`` after every step.
        lr_decay: How the learning rate falls over all steps of the run, to zero: ``linear``,
            ``cosine``, or not at all (``constant``).
        dropout: Fraction of the encoder's features left out in front of the head while training.
        label_smoothing: Probability that is spread over all labels in the training loss.
        class_weights: Whether rare classes weigh more in the training loss.
        metrics: More metrics by name, updated with probabilities and targets, such as
            ``torchmetrics.classification.MulticlassCohenKappa``.
        num_embeddings: Words in the vocabulary; taken from the data.
        labels: Names of the classes; taken from the data.
    """

    weights: Tensor
    all_probabilities = False  #: Whether predictions state the probability of every label.

    def __init__(
        self,
        encoder: Callable[[int], nn.Module],
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_decay: Decay = "constant",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: bool = False,
        metrics: dict[str, Metric] | None = None,
        num_embeddings: int | None = None,
        labels: list[str] | None = None,
    ) -> None:
        # The default optimizer has no weight decay, as jsonargparse hands arguments of a default
        # on to the class that replaces it.
        super().__init__()
        self.save_hyperparameters()
        self.train_loss = TrainMean("train/loss")
        check_schedule(lr_scheduler, lr_decay)
        self.make_encoder, self.optimizer, self.lr_scheduler = encoder, optimizer, lr_scheduler
        self.lr_decay, self.label_smoothing = lr_decay, label_smoothing
        self.dropout = nn.Dropout(dropout)
        self.encoder: Any = None  # any module with out_features; its extras are optional
        self.head: Any = None
        self.class_weights, self.more_metrics = class_weights, metrics
        self.metrics: ClassificationMetrics | None = None
        self._counts: Tensor | None = None
        self._from_data = False
        if num_embeddings is not None and labels is not None:
            self._build(num_embeddings, labels)

    def configure_model(self) -> None:
        """Build for the vocabulary and the labels of the data, unless a checkpoint said them."""
        if self.head is not None:
            return
        data = self._data()
        self._build(len(data.vocabulary), list(data.labels))
        if self.class_weights:
            datamodule = attributes(self.trainer).datamodule
            counts = required(datamodule, HasTrainClassCounts, self).train_class_counts
            self.weights.copy_(weights_of(torch.tensor(counts)))
        self._from_data = True

    def on_fit_start(self) -> None:
        """Initialize a new model from its words and the training texts."""
        if not self._from_data:
            return
        self._from_data = False
        initialize_words(self, self.encoder, self._data().vocabulary)
        initialize_head(self, self.head, self._training_texts, len(self.hparams["labels"]))

    def _data(self) -> TextData:
        return required(attributes(self.trainer).datamodule, TextData, self)

    def forward(self, batch: TextBatch) -> Tensor:
        """Return the logits of the classes, ``(B, C)``."""
        features = self.encoder(batch.tokens, batch.lengths)
        logits: Tensor = self.head(
            self.dropout(features) if isinstance(features, Tensor) else features
        )
        if logits.shape[1] > 1:
            return logits
        # Two classes need one number: softmax over (0, s) is (1 - sigmoid(s), sigmoid(s)).
        return torch.cat((torch.zeros_like(logits), logits), dim=1)

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        assert batch.label is not None
        smoothing, logits = self.label_smoothing, self(batch)
        if self.class_weights:
            losses = F.cross_entropy(
                logits, batch.label, label_smoothing=smoothing, reduction="none"
            )
            loss = (losses * self.weights[batch.label]).mean()
        else:
            loss = F.cross_entropy(logits, batch.label, label_smoothing=smoothing)
        self.train_loss(self, loss, len(batch.lengths))
        return loss

    @property
    def unlike_in_training(self) -> tuple[str, ...]:
        """With smoothed labels or weights of classes the training loss is another one."""
        return ("loss",) if self.label_smoothing or self.class_weights else ()

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each metric is better, by its name without the stage."""
        return {} if self.metrics is None else self.metrics.higher_is_better

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics."""
        assert self.metrics is not None
        self.metrics.reset()

    def validation_step(self, batch: TextBatch, batch_idx: int) -> dict[str, Tensor]:
        """Update the metrics; return accuracy and loss of each text."""
        assert batch.label is not None
        assert self.metrics is not None
        logits = self(batch)
        self.metrics.update(logits, batch.label)
        losses = F.cross_entropy(logits, batch.label, reduction="none")
        return {"accuracy": logits.argmax(dim=1) == batch.label, "loss": losses}

    def on_validation_epoch_end(self) -> None:
        """Log the metrics, over all processes, also on one that had no batch."""
        assert self.metrics is not None
        stage = self.trainer.state.stage.dataloader_prefix  # type: ignore[union-attr]
        values = self.metrics.compute()
        self._counts = self.metrics.confusion.compute()
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: TextBatch, batch_idx: int) -> list[dict[str, str | float]]:
        """Return the most probable label of each text, and its probability; all when asked."""
        stated = self(batch).softmax(dim=1)
        probability, number = stated.max(dim=1)
        labels = self.hparams["labels"]
        rows: list[dict[str, str | float]] = [
            {"label": labels[n], "probability": p}
            for n, p in zip(number.tolist(), probability.tolist(), strict=True)
        ]
        if self.all_probabilities:
            add_probabilities(rows, labels, stated)
        return rows

    def export_onnx(self, path: Path) -> None:
        """Write an ONNX file of token ids to probabilities, with the labels inside."""
        export_text_classifier(self.encoder, self.head, self.hparams["labels"], path)

    def figures(self, stage: str) -> "dict[str, Figure]":
        """Return the figures of the last evaluation, by name."""
        from lit_tasks.plots import confusion_matrix

        if self._counts is None:
            return {}
        counts = self._counts.cpu().numpy()
        return {"confusion_matrix": confusion_matrix(counts, self.hparams["labels"])}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and what lowers its learning rate."""
        optimizer = self.optimizer(p for p in self.parameters() if p.requires_grad)
        return scheduled(self.trainer, optimizer, self.lr_scheduler, self.lr_decay)

    def _build(self, num_embeddings: int, labels: list[str]) -> None:
        self.hparams.update(num_embeddings=num_embeddings, labels=labels)
        self.encoder = self.make_encoder(num_embeddings)
        num_outputs = 1 if len(labels) == 2 else len(labels)
        if isinstance(self.encoder, MakesHead):
            self.head = self.encoder.make_head(num_outputs)
        else:
            self.head = nn.Linear(self.encoder.out_features, num_outputs)
        self.metrics = ClassificationMetrics(labels, self.more_metrics)
        if self.class_weights:
            self.register_buffer("weights", torch.ones(len(labels)))

    def _training_texts(self) -> Iterable[tuple[Any, Tensor]]:
        """Return features of all training texts as they are in evaluation, batch by batch."""
        batches = self._data().train_dataloader()
        return ((self.encoder(b.tokens, b.lengths), b.label) for b in batches)
