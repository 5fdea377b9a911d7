"""Hold the manuscript that the room works on, and cut it into sentences and words."""

import re
from typing import Final

TITLE: Final = "the-salt-ledger"

_CHAPTERS: Final = (
    """The storm came up the estuary on the last night of February 1911, and by supper nobody in Saltmark could see the
    breakwater. Tomas Reyl climbed to the lamp with a can of oil in each hand. The glass was wet on the inside, which it
    had never been. At ten the light went out. He wound the clockwork, he trimmed the wick, he swore at both, and the
    dark stayed where it was. Below him the storm took the boats from their moorings, first the small ones. Ines Varga,
    who kept the harbour's ledger, was ashamed to be safe behind a window. All that night Ines was afraid of the
    morning, when the names would have to be written down.""",
    """Morning was grey and very polite. Ines opened the ledger at a clean page. Eleven boats, nineteen men; her hand
    was angry and the pen was not. "Write that the light burned all night," said the harbour master, who had come in
    without knocking and who stood, as men of his kind do, between the desk and the only door, "and write it before the
    insurers come with their own ink, because a town that cannot pay its widows cannot pay its clerks." Ines was fond of
    the truth and afraid of the man. The storm was not mentioned again. She wrote what he wanted, and it looked finer
    than anything she had ever written.""",
    """Tomas found Ines in the carrier's yard in March, with one box and and a coat for another climate. People in the
    queue made room for him as they would for a man with a fever. "They say that it burned," he told her, and he heard
    how tired it sounded. "I heard the clock strike midnight when the light went out, and nothing else after it." Ines
    was glad of his anger, for her own had gone to sleep. She gave him the page that she had cut from the ledger, the
    first one, the true one. Then the carrier called, and she did not look back at the sea.""",
)

CHAPTERS: Final = tuple(" ".join(chapter.split()) for chapter in _CHAPTERS)

_UNTELLING: Final = frozenset(
    re.findall(
        r"\w+",
        "a about all and are as at be but by did do does for from had has he her his how in is it its of on or she so"
        " that the them then they this to was were what which who will with would you",
    )
)
"""Words that stand in every text and tell nothing of it."""


def sentences(text: str) -> list[str]:
    """Cut a text into its sentences.

    >>> sentences('It rained. "Again," she said.')
    ['It rained.', '"Again," she said.']
    """
    return [" ".join(sentence.split()) for sentence in re.findall(r'[^.!?]+[.!?]+"?', text)]


def telling(text: str) -> set[str]:
    """Give the words that tell what a text is about.

    >>> sorted(telling("Is the night of the storm told well?"))
    ['night', 'storm', 'told', 'well']
    """
    return set(re.findall(r"[a-z]+|\d{4}", text.lower())) - _UNTELLING
