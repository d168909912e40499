"""What an image shows, in one sentence: a backbone, and a captioner by class path."""

import json
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import SumMetric

from lit_tasks.batch import CaptionBatch
from lit_tasks.distributed.lightning_internals import is_attached
from lit_tasks.functional.caption.scores import CAPTION_METRICS
from lit_tasks.metrics.caption_reward import CiderReward
from lit_tasks.metrics.caption_scores import CaptionPair, CaptionScores, scored_pairs
from lit_tasks.nn.caption.captioner import DecoderOutput
from lit_tasks.nn.caption.generation import GenerationConfig
from lit_tasks.nn.caption.scheduled_sampling import scheduled_sampling_tokens
from lit_tasks.nn.caption.self_critical import SelfCritical, self_critical_loss
from lit_tasks.nn.image.finetuning import Finetuning, build_optimizer
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.protocols import (
    HasFeatureShape,
    HasImageIds,
    HasPredictFiles,
    HasPredictIds,
    HasReferences,
    HasValidateOn,
    HasVocabulary,
    Split,
    attributes,
    required,
)
from lit_tasks.tasks.caption_figures import drawn
from lit_tasks.tasks.initialization import initialize_words
from lit_tasks.tasks.optimization import (
    OptimizedModule,
    Rate,
    in_two_phases,
    learning_rate,
    train_stages,
)
from lit_tasks.tasks.train_loss import TrainMean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_FEW_STEPS = 120
"""Fifty captions are known by heart after that many, with nothing dropped."""


class CaptioningTask(OptimizedModule):
    """Describe each image in one sentence.

    Evaluation writes freely. The words of people decide ``loss`` alone, the mean over all words of
    the first caption of each image; training goes by the sum over the words of a caption.

    Args:
        captioner: Builds the decoder from the sizes of vocabulary and features.
        backbone: Builds the backbone; told whether to load its pretrained weights. Not needed
            where the data bring features from a file.
        finetuning: How the backbone is trained; not at all when left out.
        scheduled_sampling: Fraction of the words read in training that are the model's own by the
            end of the run; it rises from none, epoch by epoch.
        self_critical: Learning from CIDEr-D; not at all when left out. Needs the data module's
            ``train_references``.
        generation: How sentences are written; validation within training is greedy, under its
            constraints.
        words: The vocabulary; taken from the data.
        in_features: Features of an image, or of a position; taken from the data.
        preprocessing: What the backbone wants to see; taken from its weights.
        kwargs: Options of :class:`~lit_tasks.tasks.optimization.OptimizedModule`.
    """

    #: COCO's results, beside the table of predictions.
    json_files: ClassVar = {"captions.json": ("image_id", "caption")}

    def __init__(
        self,
        captioner: Callable[[int, int], nn.Module],
        backbone: Callable[[bool], nn.Module] | None = None,
        finetuning: Finetuning | None = None,
        scheduled_sampling: float = 0.0,
        self_critical: SelfCritical | None = None,
        generation: GenerationConfig = GenerationConfig(),  # noqa: B008 - frozen
        words: list[str] | None = None,
        in_features: int | None = None,
        preprocessing: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.train_loss, self.train_reward = TrainMean("train/loss"), TrainMean("train/cider_d")
        if finetuning is not None and backbone is None:
            raise ValueError("finetuning needs a backbone: give one, or leave finetuning out")
        if not 0 <= scheduled_sampling <= 1:
            raise ValueError(f"scheduled_sampling must be from 0 to 1, got {scheduled_sampling}")
        self.make_captioner, self.make_backbone = captioner, backbone
        self.finetuning, self.generation = finetuning, generation
        self.scheduled_sampling, self.self_critical = scheduled_sampling, self_critical
        self.backbone: Any = None
        self.captioner: Any = None
        self.scores = CaptionScores(intervals=True)
        self.losses = SumMetric().set_dtype(torch.float64)
        self.counted = SumMetric().set_dtype(torch.float64)
        self._evaluated: list[CaptionPair] = []
        self._image_scores: dict[str, list[float]] = {}  # of what was evaluated, when asked for
        self._reward: CiderReward | None = None
        self._from_data = False
        if words is not None and in_features is not None:
            self._build(words, in_features, pretrained=False)
            if preprocessing is not None and self.backbone is not None:
                self.backbone.use(Preprocessing.from_plain(preprocessing))

    # What the data ask for.

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What images have to be made into."""
        return None if self.backbone is None else self.backbone.preprocessing

    def frozen_network(self, split: str) -> nn.Module | None:
        """Return the backbone if its features never change, else ``None``."""
        if self.finetuning is not None or split == "predict":
            return None
        network: nn.Module | None = self.backbone
        return network

    # Building.

    def configure_model(self) -> None:
        """Build for the words and features of the data, unless a checkpoint said them."""
        if self.captioner is None:
            data = required(attributes(self.trainer).datamodule, HasVocabulary, self)
            self._build(list(data.vocabulary), self._width(data), pretrained=True)
            self._from_data = True
        self._freeze()

    def on_fit_start(self) -> None:
        """Initialize a new captioner from its words."""
        if self._from_data:
            self._from_data = False
            initialize_words(self, self.captioner, self.hparams["words"])

    def _width(self, data: object) -> int | None:
        """Return the features of an image from a file, or ``None`` where the backbone knows."""
        shape = data.feature_shape if isinstance(data, HasFeatureShape) else None
        if shape is None and self.make_backbone is None:
            raise ValueError(
                "there is neither a backbone nor a file of features: set model.backbone or "
                "data.features"
            )
        return None if shape is None else int(shape[-1])

    def _build(self, words: list[str], in_features: int | None, pretrained: bool) -> None:
        if self.make_backbone is not None:
            self.backbone = self.make_backbone(pretrained)
            self.backbone.freeze()
            self.hparams["preprocessing"] = self.backbone.preprocessing.plain()
            in_features = in_features or self.backbone.out_features
        assert in_features is not None
        self.captioner = self.make_captioner(len(words), in_features)
        self.hparams.update(words=words, in_features=in_features)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and what changes its learning rate."""
        optimizer = build_optimizer(
            self.optimizer, self.captioner, backbone=self.backbone, finetuning=self.finetuning
        )
        phase, epochs = self.self_critical, self.trainer.max_epochs
        rate: Rate = learning_rate
        if phase is not None and epochs and epochs > 0:
            rate = in_two_phases(phase.from_epoch / epochs, phase.lr_factor)
        return self.scheduled(optimizer, rate)

    # Freezing.

    def on_train_start(self) -> None:
        """Train the stages of the epoch, also where a run continues within one."""
        self._freeze()
        steps = self.trainer.estimated_stepping_batches
        if steps < _FEW_STEPS:
            rank_zero_info(
                f"This run has {steps:.0f} steps, too few to learn sentences: expect the most"
                " frequent words over and over. Some hundred are needed: raise"
                " trainer.max_epochs, or lower data.batch_size."
            )

    def on_train_epoch_start(self) -> None:
        """Train the stages of the epoch."""
        self._freeze()

    def _freeze(self) -> None:
        if self.backbone is not None:
            train_stages(self, self.backbone, self.finetuning)

    # Steps.

    def forward(self, batch: CaptionBatch) -> DecoderOutput:
        """Return the scores of each caption's words after the true words before them."""
        assert batch.tokens is not None
        assert batch.lengths is not None
        found: DecoderOutput = self.captioner(
            self.features(batch.image), batch.tokens, batch.lengths
        )
        return found

    def features(self, image: Tensor) -> Tensor:
        """Return features of images; features as they are."""
        if image.ndim != 4:
            return image
        if self.backbone is None:
            raise ValueError(
                "this captioner was trained on features from a file and has no backbone, so it "
                "cannot describe images: set data.features to a file of their features"
            )
        found: Tensor = self.backbone(image)
        return found

    def generate(self, image: Tensor, index: Tensor) -> list[str]:
        """Return a sentence about each image, or each image's features."""
        fitting = is_attached(self) and self.trainer.state.fn == TrainerFn.FITTING
        generation = self.generation.greedy() if fitting else self.generation
        found = generation(self.captioner, self.features(image), index)
        return [self._spelled(token_ids) for token_ids in found]

    def generate_several(self, image: Tensor, index: Tensor) -> list[list[str]]:
        """Return the ``n_best`` sentences about each image, the best first, as configured."""
        found = self.generation.several(self.captioner, self.features(image), index)
        return [[self._spelled(numbers) for numbers in several] for several in found]

    def _spelled(self, token_ids: list[int]) -> str:
        words = self.hparams["words"]
        return " ".join(words[token_id] for token_id in token_ids)

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        """Return the mean over captions of the sum over words, or of the reward's loss."""
        phase = self.self_critical
        if phase is not None and self.trainer.current_epoch >= phase.from_epoch:
            return self._learn_from_reward(batch, phase.samples)
        found = self(self._partly_own(batch))
        if self.scheduled_sampling:
            assert batch.tokens is not None
            found = found._replace(target=batch.tokens[found.token_index])
        total = F.cross_entropy(
            found.logits, found.target, reduction="sum", label_smoothing=self.label_smoothing
        )
        words = len(found.target)
        self.train_loss.update(self, total / words, words)
        return total / len(batch.index)

    def _partly_own(self, batch: CaptionBatch) -> CaptionBatch:
        epochs = self.trainer.max_epochs or 1
        rate = self.scheduled_sampling * min(1.0, self.trainer.current_epoch / max(1, epochs - 1))
        if not rate:
            return batch
        assert batch.tokens is not None
        with torch.no_grad():
            found = self(batch)
        return batch._replace(tokens=scheduled_sampling_tokens(found, batch.tokens, rate))

    def _learn_from_reward(self, batch: CaptionBatch, samples: int) -> Tensor:
        reward, references = self._make_reward(), batch.references
        if references is None:
            raise ValueError("self_critical needs references: set data.train_references to true")

        def score(sentences: list[list[int]]) -> Tensor:
            each = len(sentences) // len(references)
            theirs = [several for several in references for _ in range(each)]
            ended = [len(words) < self.generation.max_words for words in sentences]
            return reward([self._spelled(words) for words in sentences], theirs, ended)

        features = self.features(batch.image)
        loss, mean = self_critical_loss(
            self.captioner,
            features,
            samples=samples,
            constraints=self.generation.constraints,
            reward=score,
        )
        self.train_reward.update(self, mean, len(references))
        return loss

    def _make_reward(self) -> CiderReward:
        if self._reward is None:
            data = required(attributes(self.trainer).datamodule, HasReferences, self)
            references = [list(said) for said in data.references("train")]
            assert self.self_critical is not None
            self._reward = CiderReward(references, self.self_critical.end_word)
            rank_zero_info(f"Learning from CIDEr-D, {self.self_critical.signature}")
        return self._reward

    @property
    def unlike_in_training(self) -> tuple[str, ...]:
        """With smoothed words or own words as input the training loss is another one."""
        return ("loss",) if self.label_smoothing or self.scheduled_sampling else ()

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each metric is better, by its name without the stage."""
        return {"loss": False, **dict.fromkeys(CAPTION_METRICS, True)}

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics."""
        for metric in (self.scores, self.losses, self.counted):
            metric.reset()

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        """Describe a batch freely and count."""
        assert batch.references is not None
        features = self.features(batch.image)
        found = self(batch._replace(image=features))
        loss = F.cross_entropy(found.logits.double(), found.target, reduction="sum")
        self.losses.update(loss)
        self.counted.update(len(found.target))
        self.scores.update(batch.index, self.generate(features, batch.index), batch.references)

    def on_validation_epoch_end(self) -> None:
        """Log what was counted."""
        # compute() adds up all processes, also on one that had no batch.
        values = {"loss": float(self.losses.compute() / self.counted.compute().clamp(min=1))}
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        self.scores.intervals = not fitting
        values |= self.scores.compute()
        if not fitting:
            with self.scores.sync_context():
                self._evaluated, self._image_scores = self.scores.described(), {}
        stage = self.trainer.state.stage.dataloader_prefix  # type: ignore[union-attr]
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: CaptionBatch, batch_idx: int) -> list[dict[str, int | str]]:
        """Return number, file and sentence of each image, under COCO's names.

        Where ``n_best`` asks for more, they follow as ``caption_2`` and so on.
        """
        # While training goes on, a few validation images are described for people to read, and
        # whoever calls the task itself knows its images.
        if not is_attached(self) or self.trainer.state.fn == TrainerFn.FITTING:
            return [{"caption": text} for text in self.generate(batch.image, batch.index)]
        captions = self.generate_several(batch.image, batch.index)
        data = attributes(self.trainer).datamodule
        ids = required(data, HasPredictIds, self).predict_ids
        files = required(data, HasPredictFiles, self).predict_files
        return [
            {"image_id": ids[at], "file": files[at], **self._numbered(several)}
            for at, several in zip(batch.index.tolist(), captions, strict=True)
        ]

    def _numbered(self, captions: list[str]) -> dict[str, str]:
        """Return captions by column; those that a beam did not find are empty."""
        names = ["caption", *(f"caption_{n + 2}" for n in range(self.generation.n_best - 1))]
        return dict(zip_longest(names, captions, fillvalue=""))

    def sample_tables(self, stage: str) -> dict[str, list[dict[str, Any]]]:
        """Return what was written about each image with its scores, and the scores alone.

        References are a list of JSON. The metrics of ``samples`` are those whose mean is the
        result; BLEU of a corpus is no mean of its sentences.
        """
        data = attributes(self.trainer).datamodule
        split: Split = "test" if stage == "test" else "val"
        if split == "val" and isinstance(data, HasValidateOn):
            split = data.validate_on
        ids = data.image_ids(split) if isinstance(data, HasImageIds) else None
        each = self._scored()
        said, scores = [], []
        for row, pair in enumerate(self._evaluated):
            name = pair.image_index if ids is None else ids[pair.image_index]
            values = {metric: found[row] for metric, found in each.items()}
            references = json.dumps(pair.references, ensure_ascii=False)
            told = {"caption": pair.prediction, "references": references}
            said.append({"image_id": name, **told, **values})
            means = {k: v for k, v in values.items() if not k.startswith("bleu")}
            scores.append({"id": name, **means})
        return {"captions": said, "samples": scores}

    def figures(self, stage: str) -> "dict[str, Figure]":
        """Return the figures of the last evaluation, by name."""
        data = attributes(self.trainer).datamodule
        return drawn(self, data, stage=stage, evaluated=self._evaluated, scored=self._scored)

    def _scored(self) -> dict[str, list[float]]:
        """Return the scores of each image, by name; they take a second for 600 images."""
        self._image_scores = self._image_scores or scored_pairs(self._evaluated)
        return self._image_scores
