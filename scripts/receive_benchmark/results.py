"""The results file: runs with their conditions and rounds, written anew after each round, so that none is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .measuring import Round
from .processes import Stopped

FORMAT = 1


@dataclass(slots=True, kw_only=True)
class Run:
    """One call of the benchmark: when, at which commit, on what, and its rounds so far."""

    started: str
    commit: str
    conditions: dict[str, str]
    rounds: list[Round] = field(default_factory=list)

    @property
    def good_rounds(self) -> list[Round]:
        """The rounds that came to their end."""
        return [one for one in self.rounds if not one.failure]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "started": self.started,
            "commit": self.commit,
            "conditions": self.conditions,
            "rounds": [one.to_json() for one in self.rounds],
        }


def read(path: Path) -> list[Run]:
    """The runs of a results file, the oldest first; Stopped when it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise Stopped(f"{path} is of format {value['format']}, not {FORMAT}")
        names = {one.name for one in fields(Round)}
        return [
            Run(
                started=run["started"],
                commit=run["commit"],
                conditions=run["conditions"],
                rounds=[Round(**{key: one[key] for key in names}) for one in run["rounds"]],
            )
            for run in value["runs"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stopped(f"{path}: {type(error).__name__}: {error}") from error


def write(path: Path, runs: Sequence[Run]) -> None:
    """Replace the results file, or leave it as it was; a round is a line of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = []
    for run in runs:
        *head, rounds = run.to_json().items()
        lines = ",\n".join(f"  {json.dumps(one)}" for one in rounds[1])
        texts.append(json.dumps(dict(head))[:-1] + f', "{rounds[0]}": [\n{lines}\n]}}')
    text = f'{{"format": {FORMAT}, "runs": [\n' + ",\n".join(texts) + "\n]}"
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)
