"""Captioners, and how sentences are generated with them."""

from lit_tasks.nn.caption.attention import AttentionCaptioner
from lit_tasks.nn.caption.ensemble import CaptionerEnsemble
from lit_tasks.nn.caption.generation import GenerationConfig
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner
from lit_tasks.nn.caption.self_critical import SelfCritical
from lit_tasks.nn.caption.transformer import TransformerCaptioner

__all__ = [
    "AttentionCaptioner",
    "CaptionerEnsemble",
    "GenerationConfig",
    "RecurrentCaptioner",
    "SelfCritical",
    "TransformerCaptioner",
]
