"""``load_from_checkpoint`` that runs no code of the file's choice, from Python as from the CLI."""

from collections.abc import Iterable
from typing import Any

from lit_tasks.distributed.lightning_internals import (
    CLASS_PATH,
    INSTANTIATOR,
    safe_load_checkpoint,
)
from lit_tasks.trust import CheckedParser, Trust, plain

_FORMER_KEYS = ("hparams", "module_arguments")  # Lightning reads settings from there as well


class CheckedLoading:
    """A task or data module whose checkpoints may name trusted classes only."""

    CHECKPOINT_HYPER_PARAMS_KEY: str

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
        options["weights_only"] = weights_only
        above: Any = super()
        if weights_only is False:
            return above.load_from_checkpoint(checkpoint_path, *arguments, **options)
        content = safe_load_checkpoint(checkpoint_path)
        if hasattr(checkpoint_path, "seek"):
            checkpoint_path.seek(0)
        name = f"{cls.__module__}.{cls.__qualname__}"
        trust = Trust(str(checkpoint_path), trusted_modules, [name])
        cls._check_settings(trust, content, options)
        with trust.only_trusted():
            return above.load_from_checkpoint(checkpoint_path, *arguments, **options)

    #: Of type Any, since models and data take Lightning's arguments in different orders.
    load_from_checkpoint: Any = _load_checked

    @classmethod
    def _check_settings(cls, trust: Trust, content: Any, given: dict[str, Any]) -> None:
        settings = {}
        for key in (*_FORMER_KEYS, cls.CHECKPOINT_HYPER_PARAMS_KEY):
            section = content.get(key, {}) if isinstance(content, dict) else None
            if not isinstance(section, dict):
                raise ValueError(f"{trust.source} is damaged: its {key} must be a mapping")
            settings.update(section)
        if settings.pop(INSTANTIATOR, None) is None:
            return  # built without a command line: values go to the constructor as they are
        class_path = settings.pop(CLASS_PATH, f"{cls.__module__}.{cls.__qualname__}")
        left = {key: value for key, value in settings.items() if key not in given}
        spec = {"class_path": class_path, "init_args": plain(left, trust.source)}
        parser = CheckedParser(exit_on_error=False)
        parser.add_subclass_arguments(cls, "module", fail_untyped=False)
        trust.check(parser, {"module": spec})
