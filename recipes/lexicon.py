"""Writes the lexicon of the words of manifests, pronounced by espeak-ng: a word and its phones a line.

python recipes/lexicon.py speech/manifests/train.jsonl speech/synthetic/manifest.jsonl -o speech/lexicon.txt
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

VOICE = "en-us"
#: marks of stress and pauses, then the numbers of variants, which follow the phone
MARKS, VARIANTS = re.compile(r"[',%=_|;!?-]"), re.compile(r"(?<=\S)\d")


def words(manifests: list[Path]) -> list[str]:
    """All words of the texts, each once, in order."""
    texts = (json.loads(line).get("text", "") for path in manifests for line in path.open(encoding="utf-8"))
    return sorted({word for text in texts for word in text.split() if re.search("[A-Z]", word)})


def pronounce(found: list[str]) -> dict[str, list[str]]:
    """Phones of each word; those espeak-ng says nothing for are left out."""
    # a blank line ends a sentence, so that each word is said alone
    text = "\n\n".join(word.lower() for word in found)
    command = ["espeak-ng", "-q", "-x", "--sep= ", "-v", VOICE]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if line.strip()]
    if len(lines) != len(found):
        raise SystemExit(f"espeak-ng pronounced {len(lines)} of {len(found)} words")
    phones = {
        word: VARIANTS.sub("", MARKS.sub("", line)).split() for word, line in zip(found, lines, strict=True)
    }
    return {word: said for word, said in phones.items() if said}


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    lexicon = pronounce(words(options.manifests))
    options.output.write_text("".join(f"{word} {' '.join(said)}\n" for word, said in lexicon.items()))
    print(f"{len(lexicon)} words, {len({p for said in lexicon.values() for p in said})} phones")


if __name__ == "__main__":
    main()
