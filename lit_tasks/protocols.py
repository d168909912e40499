"""What tasks, data modules, callbacks and networks ask of one another.

Packages that do not import each other meet here. Nobody inherits from these classes: an object
that has the members fits. A task asks for what it needs with :func:`required`, which says what is
missing; whatever is optional is asked with ``isinstance``.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning.pytorch import Callback, Trainer
    from matplotlib.figure import Figure

    from lit_tasks.nn.image.preprocessing import Preprocessing

Split = Literal["train", "val", "test", "predict"]
LabeledSplit = Literal["train", "val", "test"]
Command = Literal["fit", "validate", "test", "predict"]
P = TypeVar("P")
Row = dict[str, Any]  # of predictions.csv: plain values under the names of its columns
InputBatch = tuple[list[Row], Any]  # what each sample's row begins with, and their batch


# What a task asks of its data.


@runtime_checkable
class HasLabels(Protocol):
    """Data with classes."""

    @property
    def labels(self) -> Sequence[str]:
        """The name of each class."""


@runtime_checkable
class HasSeveralLabels(Protocol):
    """Data whose samples may have several labels each (optional)."""

    multi_label: bool
    label_separator: str  # between the labels of a sample, where they are written as one


class HasVocabulary(Protocol):
    """Data with words."""

    @property
    def vocabulary(self) -> Sequence[str]:
        """The word of each token id."""


class TextData(HasVocabulary, HasLabels, Protocol):
    """What ``TextClassificationTask`` needs; batches are ``lit_tasks.batch.TextBatch``."""

    def train_dataloader(self) -> Iterable[Any]:
        """Return batches of the training texts."""


@runtime_checkable
class HasTrainFeatures(Protocol):
    """Images whose features a head may see once before training (optional)."""

    def train_features(self, network: nn.Module, /) -> tuple[np.ndarray, Sequence[int] | Tensor]:
        """Return features of all training images without augmentation, and their classes."""


class HasTrainClassCounts(Protocol):
    """What ``class_weights: true`` needs."""

    @property
    def train_class_counts(self) -> Sequence[int]:
        """How many training samples each class has."""


class HasTrainSize(Protocol):
    """What ``class_weights: true`` needs where samples may have several labels."""

    @property
    def train_size(self) -> int:
        """How many training samples there are."""


@runtime_checkable
class HasFeatureShape(Protocol):
    """Data that may bring features in place of images (optional)."""

    @property
    def feature_shape(self) -> tuple[int, ...] | None:
        """Shape of one image's features from a file, or ``None`` where there are images."""


class HasReferences(Protocol):
    """Images that people wrote sentences about: needed for ``self_critical``."""

    def references(self, split: Split, /) -> Sequence[Sequence[str]]:
        """Return all sentences about each image of a split."""


@runtime_checkable
class HasValidateOn(Protocol):
    """Data that may validate on another split than ``val`` (optional)."""

    @property
    def validate_on(self) -> Split:
        """The split that ``val_dataloader`` returns."""


class StyleData(Protocol):
    """What ``StyleTransferTask`` needs; batches are ``lit_tasks.batch.StyleBatch``."""

    names: list[str]  # of all pairs
    batch_size: int  # pairs that are worked on at the same time

    def pair(self, index: int, /) -> Mapping[str, Any]:
        """Return a pair's ``content``, ``styles``, ``style_weights`` and ``name``."""


# What callbacks ask of the data; all of it is optional.


@runtime_checkable
class HasColorProfiles(Protocol):
    """Images whose colors are meant in an ICC profile."""

    def color_profile(self, name: str, /) -> bytes | None:
        """Return the profile of an image, by its name."""


@runtime_checkable
class HasPredictIds(Protocol):
    """Samples to predict that have names: the first column of ``predictions.csv``."""

    @property
    def predict_ids(self) -> Sequence[int | str]:
        """The name of each sample to predict."""


@runtime_checkable
class HasPredictFiles(Protocol):
    """Samples to predict that are files."""

    @property
    def predict_files(self) -> Sequence[str]:
        """The path of each sample to predict."""


@runtime_checkable
class HasSampleIds(Protocol):
    """Samples of any split that have names: the first column of ``samples_*.csv``."""

    def sample_ids(self, split: Split, /) -> Sequence[int | str]:
        """Return the name of each sample of a split."""


@runtime_checkable
class HasImageIds(Protocol):
    """Images of any split that have names: the first column of ``captions_*.csv``."""

    def image_ids(self, split: Split, /) -> Sequence[int | str]:
        """Return the name of each image of a split."""


@runtime_checkable
class DescribesSamples(Protocol):
    """Samples that people can read about, in the table of examples."""

    def describe(self, split: Split, indices: Sequence[int], /) -> Sequence[Mapping[str, Any]]:
        """Return columns about some samples: a text, a file's name, a reference."""


@runtime_checkable
class ShowsSamples(Protocol):
    """Samples that people can look at, in figures and among the examples."""

    def shown(self, split: Split, indices: Sequence[int], /) -> list[np.ndarray]:
        """Return some samples as images, ``(H, W, 3)`` each."""


@runtime_checkable
class HasTestExample(Protocol):
    """Data that propose an input of ``test`` at the end of a fit."""

    test_example: str | None


@runtime_checkable
class HasPredictExample(Protocol):
    """Data that propose an input of ``predict`` at the end of a fit."""

    predict_example: str | None


# What ``lit_tasks.load`` asks of the data.


@runtime_checkable
class ReadsInputs(Protocol):
    """Data that can make batches of what a program holds."""

    def input_batches(
        self, inputs: Iterable[object], task: object, batch_size: int | None = None, /
    ) -> Iterable[InputBatch]:
        """Yield batches of texts, images or whatever the task is about, in the order given."""


@runtime_checkable
class WritesTokenizer(Protocol):
    """Data whose texts become token ids, which an ONNX file takes."""

    def write_tokenizer(self, path: Path, /) -> None:
        """Write how, as a ``tokenizer.json`` that Hugging Face's ``tokenizers`` reads."""


# What data modules and callbacks ask of the task; all of it is optional.


@runtime_checkable
class HasPreprocessing(Protocol):
    """A task whose network wants images of its own kind; without it they get the default."""

    @property
    def preprocessing(self) -> "Preprocessing | None":
        """What images have to be made into."""


@runtime_checkable
class HasFrozenNetwork(Protocol):
    """A task whose network's features can be computed once and kept."""

    def frozen_network(self, split: str, /) -> nn.Module | None:
        """Return the network if its features of a split never change, else ``None``."""


class HasFeatures(Protocol):
    """A network whose features are kept: a vector of ``out_features`` an image."""

    out_features: int


@runtime_checkable
class HasFeatureMaps(Protocol):
    """A network that says itself which shape its features have."""

    feature_shape: tuple[int, ...]


@runtime_checkable
class HasSteps(Protocol):
    """A task that makes several steps with each batch."""

    @property
    def steps(self) -> int:
        """How many."""


@runtime_checkable
class HasUnlikeCurves(Protocol):
    """A task some of whose metrics mean something else in training than in validation."""

    @property
    def unlike_in_training(self) -> Collection[str]:
        """Their names without the stage: curves of them are not drawn on the same axes."""


@runtime_checkable
class HasFigures(Protocol):
    """A task that draws: ``figures/<stage>_<name>.png``."""

    def figures(self, stage: str, /) -> "Mapping[str, Figure]":
        """Return the figures of the last evaluation; called on every process."""


@runtime_checkable
class HasClassScores(Protocol):
    """A classifier: its numbers of each class stand in a table of their own."""

    def scores_by_class(self) -> Sequence[Mapping[str, Any]]:
        """Return ``class``, numbers between 0 and 1, and ``samples``; called on every process."""


@runtime_checkable
class StatesProbabilities(Protocol):
    """A classifier whose rows may state the probability of every class."""

    all_probabilities: bool  # set before predicting


@runtime_checkable
class HasSampleTables(Protocol):
    """A task that scores samples when all are there: tables ``<name>_<stage>.csv``."""

    def sample_tables(self, stage: str, /) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the rows of each table, in dataset order; called on the first process."""


@runtime_checkable
class ExportsOnnx(Protocol):
    """A task that can be written as an ONNX file."""

    def export_onnx(self, path: Path, /) -> None:
        """Write the file."""


@runtime_checkable
class MakesImages(Protocol):
    """A task that makes images step by step."""

    def images_at_work(self) -> list[dict[str, Any]]:
        """Return ``name``, ``step``, ``steps``, ``image`` and ``losses`` of what is worked on."""

    def image_of(self, index: int, /) -> np.ndarray | None:
        """Return an image if it is there, ``(H, W, 3)`` of whole numbers up to 255."""


@runtime_checkable
class HasJsonFiles(Protocol):
    """A task whose predictions are also written as JSON for programs of others."""

    json_files: ClassVar[Mapping[str, Sequence[str]]]  # columns of each file


# What a task asks of its networks; all of it is optional.


@runtime_checkable
class InitializesFromWords(Protocol):
    """An encoder or captioner that has pretrained word vectors."""

    def initialize(self, words: Sequence[str], /) -> str:
        """Load what is known of the words; return a sentence to report, or nothing."""


@runtime_checkable
class MakesHead(Protocol):
    """An encoder whose features ``torch.nn.Linear`` does not fit."""

    def make_head(self, num_outputs: int, /) -> nn.Module:
        """Return what turns its features into logits."""


@runtime_checkable
class ReadsPadded(Protocol):
    """An encoder or head that has a form for ONNX, which knows rectangles only."""

    def from_padded(self, *values: Any) -> Any:
        """Return what ``forward`` does; an encoder of ``(tokens, keep)``, ``(B, T)`` each."""


@runtime_checkable
class ObservesTraining(Protocol):
    """A head that looks at all training samples once, before the first step of a new run."""

    def observe(self, samples: Iterable[tuple[Any, Tensor]], num_classes: int, /) -> None:
        """Take what it begins with from features and classes, batch by batch."""


# What loaders ask of a dataset; all of it is optional.


@runtime_checkable
class ReadsTogether(Protocol):
    """A dataset that reads the samples of a batch at once, as torch knows it."""

    def __getitems__(self, indices: list[int], /) -> Any:
        """Return some samples."""


@runtime_checkable
class SetsEpoch(Protocol):
    """A stream that has another order in each epoch."""

    def set_epoch(self, epoch: int, /) -> None:
        """Take the epoch that is read next."""


@runtime_checkable
class SplitsByProcess(Protocol):
    """A stream that knows how processes share it."""

    def split_by_process(self, rank: int, world_size: int, /) -> Any:
        """Return the stream of one process."""


# What everybody asks of a batch.


@runtime_checkable
class HasLabel(Protocol):
    """A batch that may know the class of each sample."""

    @property
    def label(self) -> Tensor | None:
        """Class of each sample, or ``None`` where there is none (prediction)."""


# What the command line asks of a callback.


@runtime_checkable
class AnnouncesItself(Protocol):
    """A callback that says when it is needed and whether it changes what is trained."""

    commands: ClassVar[frozenset[Command]]  # it is left out of the others: each costs time a step
    display_only: ClassVar[bool]  # then its options are not settings by which runs differ


# How one asks.


class TrainerAttributes(Protocol):
    """Attributes of a Trainer that Lightning sets where no type checker sees them."""

    datamodule: object
    callbacks: "list[Callback]"
    log_every_n_steps: int
    fast_dev_run: bool | int


def attributes(trainer: "Trainer") -> TrainerAttributes:
    """Return the trainer itself, with the types of what Lightning sets from outside."""
    return cast(TrainerAttributes, trainer)


def required(data: object, protocol: type[P], asker: object) -> P:
    """Return the data as what they have to be.

    Args:
        data: A data module.
        protocol: One of the classes above.
        asker: The task that needs it.

    Raises:
        TypeError: There are no data, or they lack something; the sentence says what.
    """
    if data is None:
        raise TypeError(
            f"{type(asker).__name__} needs a data module: give one to trainer.fit (datamodule=...);"
            f" loaders alone do not tell what {protocol.__name__} does"
        )
    absent = object()
    members = {
        name
        for base in protocol.__mro__
        for name in (*vars(base), *vars(base).get("__annotations__", ()))
        if not name.startswith("_")
    }
    # Looked up without calling: a property may read files.
    lacking = sorted(name for name in members if getattr_static(data, name, absent) is absent)
    if lacking:
        raise TypeError(
            f"{type(asker).__name__} needs data with {' and '.join(lacking)} "
            f"(lit_tasks.protocols.{protocol.__name__}), which {type(data).__name__} lacks"
        )
    return cast(P, data)


def label_separator(data: object) -> str:
    """Return what stands between the labels of a sample that has several."""
    return data.label_separator if isinstance(data, HasSeveralLabels) else ","


def batch_index(batch: object) -> Tensor | None:
    """Return the position of each sample, or ``None``: a plain tuple's ``index`` is a method."""
    # It is asked in every step, and a check against a runtime protocol takes ten microseconds.
    found: object = getattr(batch, "index", None)
    return found if isinstance(found, Tensor) else None
