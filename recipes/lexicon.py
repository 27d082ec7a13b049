"""Writes the lexicon of the words of manifests, pronounced by espeak-ng: a word and its phones a line.

python recipes/lexicon.py speech/manifests/train.jsonl speech/synthetic/manifest.jsonl -o speech/lexicon.txt
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from pathlib import Path

VOICE = "en-us"
#: marks of stress and pauses, then the numbers of variants, which follow the phone
MARKS, VARIANTS = re.compile(r"[',%=_|;!?-]"), re.compile(r"(?<=\S)\d")


def words(manifests: list[Path]) -> list[str]:
    """All words of the texts, which are spelled as a vocabulary has them: upper case, each once, in order."""
    texts = (json.loads(line).get("text", "") for path in manifests for line in path.open(encoding="utf-8"))
    found = {word.upper() for text in texts for word in text.split()}
    return sorted(word for word in found if any(map(str.isalpha, word)))


def pronounce(found: list[str]) -> dict[str, list[str]]:
    """Phones of each word (SystemExit where espeak-ng does not say each as one)."""
    # a blank line ends a sentence, so that each word is said alone
    text = "\n\n".join(word.lower() for word in found)
    if shutil.which("espeak-ng") is None:
        raise SystemExit("espeak-ng is not installed (Debian: apt install espeak-ng)")
    command = ["espeak-ng", "-q", "-x", "--sep= ", "-v", VOICE]
    said = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True).stdout
    lines = [line for line in said.splitlines() if line.strip()]
    if len(lines) != len(found):
        raise SystemExit(f"espeak-ng pronounced {len(lines)} of {len(found)} words")
    phones = [VARIANTS.sub("", MARKS.sub("", line)).split() for line in lines]
    return {word: said for word, said in zip(found, phones, strict=True) if said}


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    lexicon = pronounce(words(options.manifests))
    lines = (f"{word} {' '.join(said)}\n" for word, said in lexicon.items())
    options.output.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lexicon)} words, {len({p for said in lexicon.values() for p in said})} phones")


if __name__ == "__main__":
    main()
