"""What visitors may call themselves in the examples. Pure."""

import unicodedata

UNSEEN = "Cc", "Cf", "Cs", "Co", "Zl", "Zp"  # Unicode's categories of what controls, or shows nothing
FOLDED = 200  # characters of a folded name: one letter may become eighteen, and a store's key has no more


def mistake(name: str, most: int) -> str:
    """What is wrong with a name of at most so many characters; "" if nothing."""
    if not name.strip():
        return "a name is not blank"
    if len(name) > most:
        return f"a name has at most {most} characters"
    if len(folded(name)) > FOLDED:
        return f"a name has at most {FOLDED} letters when its signs are written out"
    if any(unicodedata.category(letter) in UNSEEN for letter in name):
        return "a name has no control characters"
    return ""


def folded(name: str) -> str:
    """Names that look alike are one name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
