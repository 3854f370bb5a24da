"""Writes grafana/dashboards/*.json from the boards beside this file: `make dashboards`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cluster_board
import run_board
import soak_board
import trials_board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from parts import Board

DASHBOARDS = Path(__file__).parents[1] / "dashboards"


def boards() -> tuple[Board, ...]:
    """Every dashboard, made afresh."""
    return run_board.board(), cluster_board.board(), soak_board.board(), trials_board.board()


def rendered(board: Board) -> str:
    """The dashboard's file."""
    found: dict[str, Any] = json.loads(json.dumps(board.json(), cls=JSONEncoder))
    for annotation, fields in zip(found["annotations"]["list"], board.marks, strict=True):
        annotation.update(fields)
    for number, panel in enumerate(found["panels"], start=1):
        panel["id"] = number
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    DASHBOARDS.mkdir(exist_ok=True)
    for each in boards():
        (DASHBOARDS / f"{each.name}.json").write_text(rendered(each), encoding="utf-8")
