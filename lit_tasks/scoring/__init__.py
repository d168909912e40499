"""``lit-tasks score``: captions of any model against references, without a framework."""
