"""Which mode a W&B run is in, found out without asking and without waiting for long."""

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_CONNECT_SECONDS = 5.0
#: The modes that need a server.
ASKING = ("online", "shared")


def chosen_mode(chosen: str | None) -> tuple[str, str]:
    """Return the mode of a run and its reason.

    Args:
        chosen: The mode that the configuration asks for. ``WANDB_MODE`` beats it; by credentials
            where neither asks for any. A mode that needs a server is ``offline`` without one.
    """
    import wandb

    why = "as configured"
    if said := os.environ.get("WANDB_MODE"):
        chosen, why = {"dryrun": "offline", "run": "online"}.get(said, said), f"WANDB_MODE={said}"
    if chosen not in (None, *ASKING):
        return str(chosen), why
    # Where it may speak, a login asks the server what the user is called.
    settings = wandb.setup(wandb.Settings(silent=True)).settings
    try:
        if not wandb.login(prompt=False, verify=False):
            return "offline", "not logged in"
    except Exception as error:  # a broken netrc or key must not stop a training run
        return "offline", short(error)
    by_proxy = settings.http_proxy or settings.https_proxy
    if not by_proxy and (trouble := _closed(settings.base_url)):
        return "offline", trouble
    return (chosen, why) if chosen else ("online", "credentials found")


def _closed(url: str) -> str | None:
    """Return why no connection to a server can be opened, or ``None``; W&B would try for long."""
    parts = urlsplit(url)
    host = str(parts.hostname)
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return None  # only the proxy knows
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return f"{url} was not reached: {error.strerror or error}"
    return None


def short(error: Exception) -> str:
    """Return an error as part of a sentence."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
