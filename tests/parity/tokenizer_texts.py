"""Texts on which tokenizers disagree, if they do: every kind of character that a pattern tells apart, in every order."""
import random
import unicodedata

KINDS = [
    # letters with and without case, contractions, the long s that folds to s, letters that fold to several
    "a", "B", "s", "S", "t", "re", "VE", "m", "lL", "d", "hello", " World", "HTTPServer", "'", "'s", "'S", "'re", "'LL",
    "\u2019s", "'\u017f", "\u017f", "\u00df", "\u0130", "\ufb05", "\u01c5", "\u02b0", "\u00aa", "\U00010400",
    "\U00010428", "\U0001d400", "na\u00efve", "\u0418\u0432\u0430\u043d", "\u03b1\u03b2",
    # numbers
    "1", "23", "4567", "\u0663\u0664", "\u0967", "\u00b2", "\u00bd", "\u2167", "\U0001d7d8", "3.14", "1,000,000",
    # white space, and what is nearly that
    " ", "  ", "    ", "\t", "\u00a0", "\u0085", "\u2028", "\u2029", "\u3000", "\u1680", "\u180e", "\u200b", "\v",
    "\f", "\x1c", "\x1f", "\n", "\r\n", "\r", "\n\n", " \n ", "\n  ", "\ufeff",
    # the rest
    "!", "/", "...", "//", "_", "\u2014", "\u20ac", "$", "\x00", "\x01", "\x7f", "()", "{\n", "};", "<|", "|>", "\\n",
    # marks
    "\u0301", "e\u0301", "\u093f", "\u20dd", "\u0e48", "\u0300\u0301\u0302", "\u0489",
    # emoji that are several characters
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\ufe0f", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3",
    # letters without case, some written from the right
    "\u4e2d\u6587", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\uac00\ub098", "\U00020000", "\U0002ebf0",
    "\u0e01\u0e33", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u1100\u1161", "\u3002", "\u300c", "\uff0c", "\uff21", "\uff11",
]

HARD = [
    "", " ", "\n", "a", "Hello world", "Hello, world! It's 2024.", " leading", "trailing ", "trailing\n", "a \n  ",
    "a\n\nb", "a\r\n\r\nb", "two  spaces", "many        spaces", "tab\tand\t\ttabs", "   \n   \n  x", "\n\n\n",
    "I'll we've they're I'm he'd it's can't", "I'LL WE'VE THEY'RE I'M HE'D IT'S CAN'T", "x'\u017fy", "'sam 'tis 'll",
    "don\u2019t", "1 12 123 1234 12345 1234567", "3.14159e-10", "\u0663\u0664\u0665\u0666", "x\u00b2+\u00bd",
    "camelCase HTTPServer iPhone McDonald", "snake_case __init__ kConstant", "for (int i = 0; i < 10; ++i) {\n  f(i);\n}\n",
    "https://example.org/a/b?c=d&e=f#g", "a//b///c\n//\n", "path/\n/x", "...!!!???", "(a) [b] {c} <d>", "$100 \u20ac50",
    "na\u00efve caf\u00e9 e\u0301", "\u0301", "a\u0301\u0302b", "(\u0301", " \u0301x",
    "\u4e2d\u6587\u5206\u8bcd\u3002\u6d4b\u8bd5", "\u4e2d\u6587ABC\u4e2d\u6587abc", "\u65e5\u672c\u8a9e\u306e\u6587",
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd!", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "a\u00a0b\u3000c\u2028d\u0085e", "\u200b\ufeff", "\x00\x01\x1f\x7f", "\u01c5\u02b0\u00aa", "\U0001d400\U0001d7d8",
    "\U00020000\U0002ebf0", "<|endoftext|>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "----------------------------------------", "0000000000000000000000",
]


def short_texts(seed, count):
    """`count` texts of up to twenty kinds each: ends and beginnings of texts matter too."""
    source = random.Random(seed)
    return ["".join(source.choices(KINDS, k=source.randint(1, 20))) for _ in range(count)]


def unicode_text(seed):
    """One long text: all kinds at random, long runs of each, and code points: those assigned in the first two planes (in
    Python's Unicode, and a sixteenth of the others), and some of the rest."""
    source = random.Random(seed)
    parts = source.choices(KINDS, k=40000)
    parts += [kind * source.randint(2, 300) + source.choice(KINDS) for kind in KINDS]
    later = [first + i for first in range(0x20000, 0x32400, 0x100) for i in (0, 0xFF)] + list(range(0xE0000, 0xE0200))
    early = [c for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs") or
             (not 0xD800 <= c < 0xE000 and source.randrange(16) == 0)]
    parts += [f"a{chr(c)}b '{chr(c)} 1{chr(c)}A\n" for c in early + later]
    return "".join(parts)
