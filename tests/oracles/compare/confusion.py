"""What is taken for what, counted picture by picture."""

from collections import Counter


def confusion(answers: list[int], named: list[int]) -> dict[tuple[int, int], int]:
    found: Counter[tuple[int, int]] = Counter()
    for answer, own in zip(answers, named, strict=True):
        if answer >= 0:
            found[answer, own] += 1
    return dict(found)


def class_errors(answers: list[int], named: list[int]) -> dict[int, tuple[int, int, int]]:
    """Pictures, wrong ones, and how many are named so, of each class that is right or named at all."""
    known = [(answer, own) for answer, own in zip(answers, named, strict=True) if answer >= 0]
    found = {}
    for output in sorted({output for pair in known for output in pair}):
        own = [pair for pair in known if pair[0] == output]
        wrong = sum(1 for answer, name in own if answer != name)
        found[output] = (len(own), wrong, sum(1 for _, name in known if name == output))
    return found
