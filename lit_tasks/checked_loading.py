"""``load_from_checkpoint`` that runs no code of the file's choice, from Python as from the CLI."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from lit_tasks.distributed.lightning_internals import (
    CLASS_PATH,
    INSTANTIATOR,
    INSTANTIATOR_OF_MODULES,
    given_hyperparameters,
    is_attached,
    safe_load_checkpoint,
)
from lit_tasks.protocols import attributes
from lit_tasks.recorded_arguments import recorded
from lit_tasks.trust import CheckedParser, Trust, plain

_FORMER_KEYS = ("hparams", "module_arguments")  # Lightning reads settings from there as well
_OPTIONS = ("map_location", "hparams_file", "strict", "weights_only")  # Lightning's own


class CheckedLoading:
    """A task or data module whose checkpoints hold plain values and may name trusted classes only.

    Built from Python, an object records its arguments as the command line would have: a class or
    ``functools.partial`` of a class by its path. So a checkpoint needs no pickle, and is the same
    for :meth:`load_from_checkpoint`, :func:`lit_tasks.load` and every command.
    """

    CHECKPOINT_HYPER_PARAMS_KEY: str

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the arguments of task and data module as plain values.

        Lightning calls this of the task; a method that takes its place calls it as well.

        Args:
            checkpoint: What Lightning saves.
        """
        above: Any = super()
        above.on_save_checkpoint(checkpoint)
        this: Any = self
        data: object = attributes(this.trainer).datamodule if is_attached(this) else None
        for each in (self, data):
            if isinstance(each, CheckedLoading):
                _record(each, checkpoint)

    @classmethod
    def _load_checked(
        cls,
        checkpoint_path: Any,
        *arguments: Any,
        weights_only: bool = True,
        trusted_modules: Iterable[str] = (),
        **options: Any,
    ) -> Any:
        """Return the object that a checkpoint describes, as Lightning's method of this name does.

        Args:
            checkpoint_path: The file, its address or an open file.
            arguments: Lightning's others, in their order.
            weights_only: False runs any code that the file holds.
            trusted_modules: Modules of others whose classes the file may name.
            options: Lightning's others, and arguments that replace those of the file.

        Raises:
            ValueError: The file names a class that is not trusted.
        """
        above: Any = super()
        load = above.load_from_checkpoint
        if weights_only is False:
            return load(checkpoint_path, *arguments, weights_only=False, **options)
        name = f"{cls.__module__}.{cls.__qualname__}"
        trust = Trust(str(checkpoint_path), trusted_modules, [name])
        return load_checked(cls, load, checkpoint_path, trust, *arguments, **options)

    #: Of type Any, since models and data take Lightning's arguments in different orders.
    load_from_checkpoint: Any = _load_checked


def _record(made: CheckedLoading, checkpoint: dict[str, Any]) -> None:
    key, kind = made.CHECKPOINT_HYPER_PARAMS_KEY, type(made)
    section = checkpoint.get(key, {})
    if INSTANTIATOR in section:
        return  # a command line knows them as words
    kept, left = recorded(section)
    if left:
        rank_zero_warn(
            f"the checkpoint does not say {' and '.join(left)} of {kind.__name__}: it holds"
            " classes, functools.partial of a class, and plain values only; give it again to"
            " load_from_checkpoint"
        )
    own = {CLASS_PATH: f"{kind.__module__}.{kind.__qualname__}"}
    checkpoint[key] = {**kept, **own, INSTANTIATOR: INSTANTIATOR_OF_MODULES}


def load_checked(
    kind: Any, load: Callable[..., Any], source: Any, trust: Trust, *arguments: Any, **options: Any
) -> Any:
    """Return the object that a checkpoint describes, once its settings are found to be trusted.

    Args:
        kind: Class of a task or data module, of anybody.
        load: Lightning's ``load_from_checkpoint`` of the class.
        source: The file, its address or an open file.
        trust: What the file may name.
        arguments: Lightning's others, in their order.
        options: Lightning's others, and arguments that replace those of the file.

    Raises:
        ValueError: The file names a class that is not trusted.
    """
    content = safe_load_checkpoint(source)
    if hasattr(source, "seek"):
        source.seek(0)
    settings = _checked_settings(kind, trust, content=content, given=options)
    given, _ = recorded({k: v for k, v in options.items() if k not in _OPTIONS})
    as_saved = given_hyperparameters({**settings, **given}) if settings else nullcontext()
    with trust.only_trusted(), as_saved:
        return load(source, *arguments, weights_only=True, **options)


def _checked_settings(
    kind: Any, trust: Trust, content: Any, given: dict[str, Any]
) -> dict[str, Any]:
    """Refuse settings that are not trusted; return them, none where no config made them."""
    settings: dict[str, Any] = {}
    for key in (*_FORMER_KEYS, kind.CHECKPOINT_HYPER_PARAMS_KEY):
        section = content.get(key, {}) if isinstance(content, dict) else None
        if not isinstance(section, dict):
            raise ValueError(f"{trust.source} is damaged: its {key} must be a mapping")
        settings.update(section)
    if settings.pop(INSTANTIATOR, None) is None:
        return {}  # of others' making: values go to the constructor as they are
    class_path = settings.pop(CLASS_PATH, f"{kind.__module__}.{kind.__qualname__}")
    left = {key: value for key, value in settings.items() if key not in given}
    spec = {"class_path": class_path, "init_args": plain(left, trust.source)}
    parser = CheckedParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "module", fail_untyped=False)
    trust.check(parser, {"module": spec})
    return {**plain(settings, trust.source), CLASS_PATH: class_path}


def texts_of_state(state: object, key: str) -> list[str]:
    """Return the list of texts that a checkpoint holds under a name.

    Args:
        state: What it says of the data.
        key: The name.

    Raises:
        KeyError: There is nothing.
        ValueError: There is something else.
    """
    found = state[key] if isinstance(state, Mapping) else state
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(
            f"the checkpoint is damaged: its data should have a list of texts as {key}, got"
            f" {found!r:.60}"
        )
    return list(found)
