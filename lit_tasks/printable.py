"""Text of others on a terminal: what would steer it or turn it around is shown, not obeyed."""

_STEERING = [*range(0x20), *range(0x7F, 0xA0)]  # C0, DEL and C1
_TURNING = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # bidirectional
_OTHER = [0x2028, 0x2029, *range(0xD800, 0xE000)]  # ends of lines, and what is not Unicode at all
_ESCAPED = {
    number: f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    for number in (*_STEERING, *_TURNING, *_OTHER)
} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_WITH_LINES = {number: text for number, text in _ESCAPED.items() if chr(number) not in "\n\t"}


def printable(text: str, lines: bool = False) -> str:
    r"""Return the text with control characters as Python writes them, such as ``\x1b``.

    A name, a label or a caption may hold the sequences that clear a terminal, change its title or
    pretend to be other output, and the characters that show text in another order than it has.

    Args:
        text: What is to be shown.
        lines: Whether ends of lines and tabs stay.
    """
    return text.translate(_WITH_LINES if lines else _ESCAPED)
