"""Which labels a text has: an encoder by class path, and a linear head."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from lit_tasks.batch import TextBatch
from lit_tasks.distributed.lightning_internals import is_attached
from lit_tasks.metrics.label_metrics import LabelMetrics
from lit_tasks.nn.text.onnx import export_text_classifier
from lit_tasks.protocols import (
    MakesHead,
    TextData,
    attributes,
    label_separator,
    required,
)
from lit_tasks.tasks.class_probabilities import add_probabilities
from lit_tasks.tasks.classification_figures import metric_figures
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
from lit_tasks.tasks.initialization import initialize_head, initialize_words
from lit_tasks.tasks.optimization import OptimizedModule
from lit_tasks.tasks.train_loss import TrainMean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TextClassificationTask(OptimizedModule):
    """Give each text one of a few labels, or several.

    Args:
        encoder: Builds the encoder from the size of the vocabulary.
        optimizer: Builds the optimizer from the parameters.
        dropout: Fraction of the encoder's features left out in front of the head while training.
        class_weights: Whether rare classes weigh more in the training loss, or how much each class
            weighs, 1 where it is not named. Of several labels a text, it is what the presence of
            a label weighs.
        metrics: More metrics by name, updated with probabilities and targets, such as
            ``torchmetrics.classification.MulticlassCohenKappa``.
        threshold: Where texts may have several labels: the probability from which a label is
            given, one for all (0.5 when left out) or one for each.
        num_embeddings: Words in the vocabulary; taken from the data.
        labels: Names of the classes; taken from the data.
        kwargs: Options of :class:`~lit_tasks.tasks.optimization.OptimizedModule`.
    """

    weights: Tensor
    all_probabilities = False  #: Whether predictions state the probability of every label.

    def __init__(
        self,
        encoder: Callable[[int], nn.Module],
        optimizer: OptimizerCallable = torch.optim.Adam,
        dropout: float = 0.0,
        class_weights: ClassWeights = False,
        metrics: dict[str, Metric] | None = None,
        threshold: Threshold | None = None,
        num_embeddings: int | None = None,
        labels: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        # The default optimizer has no weight decay, as jsonargparse hands arguments of a default
        # on to the class that replaces it.
        super().__init__(optimizer=optimizer, **kwargs)
        self.train_loss = TrainMean("train/loss")
        self.make_encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.encoder: Any = None  # any module with out_features; its extras are optional
        self.head: Any = None
        self.class_weights, self.more_metrics = class_weights, metrics
        self.decision: Decision | None = None
        self.metrics: LabelMetrics | None = None
        self._from_data = False
        if num_embeddings is not None and labels is not None:
            self._build(num_embeddings, labels, threshold)

    def configure_model(self) -> None:
        """Build for the vocabulary and the labels of the data, unless a checkpoint said them."""
        if self.head is not None:
            return
        data = self._data()
        threshold = threshold_of(data, self.hparams["threshold"])
        self._build(len(data.vocabulary), list(data.labels), threshold)
        if self.class_weights:
            assert self.decision is not None
            weights = chosen_weights(self.decision, self.class_weights, data=data, asker=self)
            self.weights.copy_(weights)
        self._from_data = True

    def on_fit_start(self) -> None:
        """Initialize a new model from its words and the training texts."""
        if not self._from_data:
            return
        self._from_data = False
        initialize_words(self, self.encoder, self._data().vocabulary)
        initialize_head(
            self, self.head, samples=self._training_texts, num_classes=len(self.hparams["labels"])
        )

    def _data(self) -> TextData:
        return required(attributes(self.trainer).datamodule, TextData, self)

    def forward(self, batch: TextBatch) -> Tensor:
        """Return the logits of the classes, ``(B, C)``."""
        features = self.encoder(batch.tokens, batch.lengths)
        logits: Tensor = self.head(
            self.dropout(features) if isinstance(features, Tensor) else features
        )
        if logits.shape[1] > 1 or isinstance(self.decision, SeveralLabels):
            return logits
        # Two classes need one number: softmax over (0, s) is (1 - sigmoid(s), sigmoid(s)).
        return torch.cat((torch.zeros_like(logits), logits), dim=1)

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        assert batch.label is not None
        assert self.decision is not None
        weights = self.weights if self.class_weights else None
        loss = self.decision.loss(
            self(batch), batch.label, smoothing=self.label_smoothing, weights=weights
        )
        self.train_loss.update(self, loss, len(batch.lengths))
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
        """Update the metrics; return what was predicted of each text, and how well."""
        assert batch.label is not None
        assert self.metrics is not None
        assert self.decision is not None
        logits = self(batch)
        self.metrics.update(logits, batch.label)
        return self.decision.by_sample(logits, batch.label)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics, over all processes, also on one that had no batch."""
        assert self.metrics is not None
        stage = self.trainer.state.stage.dataloader_prefix  # type: ignore[union-attr]
        values = self.metrics.compute()
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: TextBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Return the label of each text and its probability, or its labels; all when asked."""
        assert self.decision is not None
        data = attributes(self.trainer).datamodule if is_attached(self) else None
        probability = self.decision.probability(self(batch))
        rows = self.decision.rows(probability, separator=label_separator(data))
        if self.all_probabilities:
            add_probabilities(rows, self.hparams["labels"], probability)
        return rows

    def export_onnx(self, path: Path) -> None:
        """Write an ONNX file of token ids to probabilities, with the labels inside."""
        several = isinstance(self.decision, SeveralLabels)
        labels = self.hparams["labels"]
        export_text_classifier(self.encoder, self.head, labels=labels, path=path, several=several)

    def scores_by_class(self) -> list[dict[str, Any]]:
        """Return precision, recall, F1 and samples of each class in the last evaluation."""
        return [] if self.metrics is None else self.metrics.scores_by_class()

    def figures(self, stage: str) -> "dict[str, Figure]":
        """Return the figures of the last evaluation, by name."""
        return {} if self.metrics is None else metric_figures(self.metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and what lowers its learning rate."""
        optimizer = self.optimizer(p for p in self.parameters() if p.requires_grad)
        return self.scheduled(optimizer)

    def _build(self, num_embeddings: int, labels: list[str], threshold: Threshold | None) -> None:
        self.hparams.update(num_embeddings=num_embeddings, labels=labels, threshold=threshold)
        self.decision = decision_of(labels, threshold)
        self.encoder = self.make_encoder(num_embeddings)
        one_output = len(labels) == 2 and isinstance(self.decision, OneLabel)
        num_outputs = 1 if one_output else len(labels)
        if isinstance(self.encoder, MakesHead):
            self.head = self.encoder.make_head(num_outputs)
        else:
            self.head = nn.Linear(self.encoder.out_features, num_outputs)
        self.metrics = self.decision.metrics(self.more_metrics)
        if self.class_weights:
            self.register_buffer("weights", torch.ones(len(labels)))

    def _training_texts(self) -> Iterable[tuple[Any, Tensor]]:
        """Return features of all training texts as they are in evaluation, batch by batch."""
        batches = self._data().train_dataloader()
        return ((self.encoder(b.tokens, b.lengths), b.label) for b in batches)
