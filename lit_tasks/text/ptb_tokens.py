"""Tokens as Stanford's PTB tokenizer 3.4.1 finds them, which coco-caption runs in Java.

At every place the rule that reaches furthest wins, what it looks ahead to included; of two that
reach as far, the first. Rules and lists were found by asking the Java program: about every
character, every word of up to four letters and 400,000 longer ones, each with a full stop.

What depends on the caption of another image there is left out: whether a single letter at the end
("reads K.") keeps its full stop, for which the first word of the next caption decides. It loses it
here, as in front of "A". Some control characters break a line there; they are spaces here.
"""

import re
from collections.abc import Iterator

_TITLES = (  # abbreviations in front of a name
    "adj adm adv alex assoc asst atty ave brig capt cf cie cmdr col cpl dept det dr drs elec"
    " ens ft gen gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt"
    " mtg natl pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt treas"
    " vs wm ph.d"
)
_ABBREVIATIONS = (  # others, also in front of a single letter
    "al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak"
    " dec esq est etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md"
    " mich minn mo mon mont neb nev nov oct okla penn plc ppte ppty pptys pte ptes pty ptys rd"
    " rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo cont'd"
)
_CAPITALIZED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"  # abbreviations with a capital only
_NUMBERED = "art ca fig figs no nos op pp prop"  # abbreviations in front of a number only
_FIRST_WORDS = (  # of a sentence: a full stop in front of one ends the last sentence
    "A About According Additionally After Although An And As At But Earlier He Her Here However If"
    " In It Last Many More Now Once One Other Our She Since So Some Such That The Their Then There"
    " These They This We When While What Yet You"
)
_ELIDED = (
    "c'est c'mon s'mores 'cause 'em 'till 'til dunkin' somethin' ol' ev'ry li'l nat'l"
    " nor'easter e'er o'o"
)
_SUFFIXES = (
    "bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php"
    " pl png ppt ps py sql tar txt wav x xml zip"
)
_IN_TWO = frozenset(["cannot", "gonna", "gotta", "lemme", "gimme", "wanna"])  # behind three letters
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " "}


def _any_of(words: str) -> str:
    longest_first = sorted(words.split(), key=len, reverse=True)
    return "|".join(re.escape(word).replace("'", _APOS) for word in longest_first)


_APOS = "['’\x92]"
_PRIME = "['’\x92`‘‛\x91]"
# Letters with their accents but no fractions and raised digits; a soft hyphen stands in words.
_L = (
    "(?:[^\\W\\d_²³¹¼½¾⁰⁴-₎⅐-ↂↅ-↉①-⓿❶-➓]|&[aeiouAEIOU](?:acute|grave|uml);"
    "|[\u00ad\u02c2-\u0375\u0378\u0379\u0384\u0385\u0483-\u0487"
    "\u055a-\u055f\u0591-\u05bd\u0610-\u061a\u064b-\u065e\u0900-\u0903\u093c-\u094e\u0951-\u0955"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])"
)
_AN = rf"(?:{_L}|\d)"
_WORD = rf"{_L}{_AN}*(?:[.!?]{_L}{_AN}*)*"
_NUMBER = r"(?:\d*(?:[.:,]\d+)+|\d+)"
_JOINED = rf"(?:[dDoOlL]{_PRIME}(?={_AN}{_AN}))?"  # of d'or and O'Neil
_MORE = rf"(?:[-_\u058a\u2010\u2011]{_JOINED}{_AN}+)"
_INITIALS = r"[A-Za-z](?:\.[A-Za-z])+\."
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])*\."
_NEXT = rf"(?:\s+(?=[A-Z])(?i:{_any_of(_FIRST_WORDS)})(?:\s|\Z)|\s*\Z)"
_DOMAIN = r"[^\s\"`'<>|.!?(){},\-_$/@#]{1,64}"

# A rule's group is the token; what follows it in the match is only looked at.
_RULES = tuple(
    re.compile(rule, flags)
    for rule, flags in (
        (r"(-[LR][RSC]B-)", re.I),
        (r"(</?[!?]?[A-Za-z!][^<>\n]*>)", 0),
        (r"(https?://[^\s\"<>|(){}]+[^\s\"<>|.!?(){},\-])", re.I),
        (
            rf"((?:www\.(?:{_DOMAIN}\.)+[a-z]{{2,4}}"
            rf"|(?:{_DOMAIN}\.)+(?:com|net|org|edu)(?![A-Za-z0-9]))"
            r"(?:/[^\s\"<>|()]+[^\s\"<>|.!?(){},\-])?)",
            re.I,
        ),
        (
            r"(<?[A-Za-z0-9][^\s\"<>|(){}@]{0,64}@(?:[^\s\"<>|(){}.]{1,64}\.)*"
            r"[^\s\"<>|(){}\[\].,;:!?]+>?)",
            0,
        ),
        (r"(@[A-Za-z_]\w*)", re.A),
        (rf"(#{_L}+)", 0),
        (rf"({_L}*?(?!n){_L})n{_PRIME}t", re.I),
        (rf"(n{_PRIME}t)", re.I),
        (r"('(?:[msd]|ll|re|ve))(?![A-Za-z])|(’(?:[msd]|ll|re|ve))", re.I),
        (rf"('t)(?:is|was)(?!{_AN})", re.I),
        (rf"(more)'n(?!{_L})", re.I),
        (rf"({_APOS}[2-9]0s)(?!\w)|({_APOS}\d\d)(?!\S)", 0),
        (r"('n)(?!\S)|(’n)", re.I),
        (rf"({_APOS}n{_APOS})", re.I),
        (rf"({_any_of(_ELIDED)})", re.I),
        (rf"([ldj]{_APOS}|y{_APOS}(?={_L}))", re.I),
        (rf"([A-HJ-XZdlno]{_APOS}{_L}{_L}+)", 0),
        (rf"({_L}+)'(?:[msd]|ll|re|ve)(?![A-Za-z])", re.I),
        (rf"({_L}+[aeiouyAEIOUY]{_PRIME}[aeiouA-Z]{_L}*)", 0),
        (rf"({_WORD})", 0),
        (rf"((?:{_WORD}|{_AN}+{_MORE}*)\.)[,;:、]", 0),
        (rf"([A-Za-z])\.{_NEXT}", 0),
        (rf"({_ACRONYM})", 0),
        (rf"((?:{_any_of(_TITLES)})\.)(?!{_L})", re.I),
        (rf"((?:{_any_of(_ABBREVIATIONS)})\.)[^`]?[^`]?", re.I),
        (rf"((?=[A-Z])(?i:{_any_of(_CAPITALIZED)})\.)[^`]?[^`]?", 0),
        (rf"((?:{_any_of(_NUMBERED)})\.)(?=\s?\d)", re.I),
        (rf"({_AN}+(?:\.{_AN}+)*\.(?:{_any_of(_SUFFIXES)}))(?!{_AN})", re.I),
        (rf"({_JOINED}{_AN}+{_MORE}*)", 0),
        (rf"([A-Za-z0-9][A-Za-z0-9.,\u00ad]{{0,99}}(?:-(?:{_INITIALS}|[A-Za-z0-9\u00ad]+))+)", 0),
        (r"([A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2})", 0),
        (r"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)", 0),
        (r"([Cc](?:\+\+|\#))", 0),
        (rf"([-+]?{_NUMBER})", 0),
        (
            r"((?:\(\d{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:\d{2,4}[- \u00a0])?\d{2,4}[- \u00a0])"
            r"\d{3,4}[- \u00a0]?\d{3,5})",
            0,
        ),
        (r"((?:\d{1,4}[- ])?\d{1,4}\\?/\d{1,4})", 0),
        (r"((?:[A-Z]{1,3})\$)", 0),
        (r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])(?![^\W_])", 0),
        (r"([-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\)|\([-^x=~<>']_[-^x=~<>']\))", 0),
        (r"(&(?:amp|lt|gt|quot|apos|nbsp|\#\d+);)", 0),
        (r"([!?]+|\*+|_+|--+|\.{3,}|''|``)", 0),
    )
)

_SIMPLE = re.compile(r"[a-z]+(?:,? [a-z]+)* ?\.?\s*", re.I | re.A)
_STOPPED = frozenset(f"{_TITLES} {_ABBREVIATIONS} {_CAPITALIZED}".lower().split())
_CLITIC = re.compile(f"{_APOS}(?:[msd]|ll|re|ve)(?![A-Za-z])", re.I)
_PLAIN = re.compile(r"([A-Za-z]+)(?=,? )")
_SPACE = re.compile(r"(?:\s|[\x00-\x1f\x85]|&nbsp;)+")
# What no rule reaches and is a token all the same; anything else, an emoji say, is left out.
_SIGN = re.compile(
    "[!-/:-@\\[-`{-~\xa1-\xac\xae-\xb4\xb6-\xbf\xd7\xf7\u037e\u0387\u0589\u05be\u05c0\u05c3\u05c6"
    "\u05f3\u05f4\u0600-\u060c\u0614\u061b-\u061f\u066a\u066d\u06d4\u0700-\u070d\u07f6-\u07f8"
    "\u0964\u0965\u0e3f\u0e4f\u1fbd\u2013-\u2023\u2026\u2030-\u2044\u2070\u2074-\u207e\u2080-\u208e\u20a0\u20a4"
    "\u20ac\u2100-\u2129\u212e\u213a-\u214f\u2153-\u215e\u2190-\u2bff\u3001\u3002\u3012\u30fb"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe6\x80\x91-\x94\x96\x97]"
)
_SPELLED = {
    **dict.fromkeys("\x80€₠¤", "$"),
    "£": "#",
    "¢": "cents",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "…": "...",
    **dict.fromkeys("–—―\x96\x97", "--"),
    **dict.fromkeys('“”«»"\x93\x94', "''"),
    **dict.fromkeys("‘’‛‹›\x91\x92", "'"),
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "\u00ad": "",
}
_INSIDE = str.maketrans({k: v for k, v in _SPELLED.items() if k in "()\u00ad"})


def ptb_tokens(sentence: str) -> Iterator[str]:
    """Yield the tokens of a sentence in small letters, most of its punctuation included."""
    if _SIMPLE.fullmatch(sentence):  # most captions: four times as fast
        words = sentence.lower().replace(",", " ").rstrip(" .\t\r\n").split()
        if not (words[-1] in _STOPPED or len(words[-1]) == 1 or _IN_TWO.intersection(words)):
            yield from words
            return
    at, end = 0, len(sentence)
    while at < end:
        if space := _SPACE.match(sentence, at):
            at = space.end()
            continue
        token, at = _next(sentence, at)
        yield from token.split()


def _next(sentence: str, at: int) -> tuple[str, int]:
    """Return the token that begins at a place, empty if it is none, and where it ends."""
    plain = _PLAIN.match(sentence, at)
    found = [plain] if plain else [m for rule in _RULES if (m := rule.match(sentence, at))]
    if not found:
        sign = sentence[at]
        return (_SPELLED.get(sign, sign) if _SIGN.match(sign) else ""), at + 1
    best = max(found, key=re.Match.end)
    token = best[best.lastindex or 0]
    lower = token.lower()
    if lower in _IN_TWO and not _CLITIC.match(sentence, at + len(token)):
        lower = f"{lower[:3]} {lower[3:]}"
    elif lower in _ENTITIES:
        lower = _SPELLED.get(_ENTITIES[lower], _ENTITIES[lower])
    elif re.fullmatch(rf"n{_PRIME}t|{_APOS}(?:[msd]|ll|re|ve|t)", lower):
        lower = re.sub("[‘‛\x91]", "`", re.sub(_APOS, "'", lower))
    elif lower[:2] in ("--", ".."):
        lower = lower[0]
    return lower.translate(_INSIDE).replace("&amp;", "&"), at + len(token)
