"""How texts become token ids, as a ``tokenizer.json`` of Hugging Face's ``tokenizers``.

So an exported model needs no package of ours: ``tokenizers`` reads the file in Python, Rust and
JavaScript. Its regular expressions know what stands around a match, ours replace it: the two differ
where three apostrophes follow one another with one letter between them.
"""

from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.vocabulary import UNKNOWN, Vocabulary

_MARK = "\u0001"  # an apostrophe that belongs to a word, while quotation marks are cut off
_END = r"(?![0-9A-Za-z_])"  # of a word, as lit_tasks.text.tokenizer takes it
_SUBSTITUTIONS = (
    ("[\u2018\u2019]", "'"),
    (rf"(?<=\p{{L}})n't{_END}", f" n{_MARK}t"),
    (rf"(?i)(?<=[\p{{L}}\p{{N}}])'(?=(s|m|re|ve|ll|d){_END})", f" {_MARK}"),
    (r"(?<=\p{L})(?<!\p{L}'\p{L})'(?=\p{L})", _MARK),
)
_PUNCTUATION = rf"[^\p{{L}}\p{{M}}\p{{N}}\s{_MARK}]"
_SPACE = r"[\p{Z}\x{1c}-\x{1f}\x{85}]"


def tokenizer_json(vocabulary: Vocabulary, options: TextOptions) -> str:
    """Return the file's content.

    Raises:
        ValueError: Texts are cut in a way that ``tokenizers`` does not know.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    if options.max_length is not None and options.truncate == "both":
        raise ValueError(
            "a tokenizer.json cuts texts at one end: set data.text.truncate to head or tail"
        )
    split = options.tokenizer.split
    if split == "characters":
        raise ValueError(
            "a tokenizer.json has no n-grams of characters: predict with lit_tasks.load, or train"
            " with data.text.split words"
        )
    in_words = split == "words"
    changes: list[normalizers.Normalizer] = []
    if options.markup:
        changes.append(normalizers.Replace(Regex(r"(?i)<br\s*/?>"), " "))
    if options.lowercase:
        changes.append(normalizers.Lowercase())
    substitutions = _SUBSTITUTIONS if in_words else ()
    changes += [normalizers.Replace(Regex(found), new) for found, new in substitutions]
    changes.append(normalizers.Replace(Regex(_SPACE), " "))
    cuts: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.WhitespaceSplit()]
    if in_words:
        cuts.append(pre_tokenizers.Split(Regex(_PUNCTUATION), behavior="isolated"))
    words = {_marked(word) if in_words else word: n for n, word in enumerate(vocabulary.words)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(changes)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    if options.max_length is not None:
        direction = "left" if options.truncate == "tail" else "right"
        tokenizer.enable_truncation(options.max_length, direction=direction)
    tokenizer.enable_padding(pad_id=0, pad_token=UNKNOWN)
    return tokenizer.to_str(pretty=True)


def _marked(word: str) -> str:
    """Return a word as the substitutions leave it: an apostrophe within it is marked."""
    return word if word == "'" else word.replace("'", _MARK)
