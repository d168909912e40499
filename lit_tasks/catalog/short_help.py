"""``lit-tasks fit --help``: one screen, which names where the thousand other lines are."""

COMMON = {
    "--config NAME": "a config (lit-tasks list) or a YAML file; later ones win",
    "--model.OPTION=X": "of the task: --model.dropout=0.2, --model.encoder=RecurrentEncoder",
    "--data.OPTION=X": "of the data: --data.train=my.csv, --data.batch_size=32",
    "--trainer.OPTION=X": "of Lightning's Trainer: --trainer.max_epochs=3, --trainer.devices=2",
    "--run_dir DIR": "folder of this run; else a new one in --runs/--experiment",
    "--trusted_modules M": "modules of others whose classes a checkpoint may name",
    "--CALLBACK=null": "switch one off (lit-tasks list callbacks); --CALLBACK.OPTION=X sets it",
    "--print_config": "print what all this resolves to, and stop",
}
OWN = {
    "fit": {
        "--test true": "test the best checkpoint afterwards",
        "--resume true": "go on where a run in the same folder was stopped",
        "--seed_everything N": "seed of everything that is drawn at random",
        "--early_stopping.OPTION=X": "stop when a metric no longer gets better",
    },
    "validate": {"--ckpt_path FILE": "the checkpoint; it is enough, configs are not needed"},
    "test": {
        "--ckpt_path FILE": "the checkpoint; it is enough, configs are not needed",
        "--data.test=FILE": "what to test on, if the data have nothing yet",
    },
    "predict": {
        "--ckpt_path FILE": "the checkpoint; it is enough, configs are not needed",
        "--data.predict=INPUT": "what to predict: a file of texts, an image, a folder",
        "--predictions.format=F": "csv, jsonl or lines",
    },
}


def short_help(command: str) -> str:
    """Return the page for one command."""
    lines = [f"usage: lit-tasks {command} [--config NAME ...] [--key=value ...]", ""]
    options = {**OWN[command], **COMMON}
    width = max(map(len, options)) + 2
    lines += [f"  {name:<{width}}{text}" for name, text in options.items()]
    more = {
        f"{command} --help=all": "every option",
        f"{command} --model.help CLASS": "options of a task; --data.help and others likewise",
        "list": "configs and classes, one line each",
        "config NAME > mine.yaml": "a shipped config to begin with",
    }
    lines += [
        "",
        "more:",
        *(f"  lit-tasks {words:<34}{text}" for words, text in more.items()),
        "",
    ]
    return "\n".join(lines)
