"""The closed lists of `POST /v1/events` are the lists of the code."""

import ast
from pathlib import Path

import pytest

import fieldsvc
import handlers
from fieldsvc.intake.reasons import REASONS, WARNINGS

ROOT = Path(fieldsvc.__file__).parent
_REASON_ARGUMENT = {"Refused": 0, "Unfit": 0, "Rejected": 1, "Sent": 2, "Result": 2, "_undo": 1, "_keep_aside": 1}
_KEYWORDS = {"code", "reason"}


def _deciding_files() -> list[Path]:
    folders = [ROOT / "intake", ROOT / "journal", Path(handlers.__file__).parent]
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))]


def _words(node: ast.AST | None) -> set[str]:
    """Return the texts that an expression can be; of a condition its outcomes, not what it compares."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return _words(node.body) | _words(node.orelse)
    if isinstance(node, ast.Tuple | ast.List):
        return {word for each in node.elts for word in _words(each)}
    return _words(node.value) if isinstance(node, ast.Starred) else set()


def _names(node: ast.keyword | ast.Assign) -> set[str | None]:
    if isinstance(node, ast.keyword):
        return {node.arg}
    return {each.id for each in node.targets if isinstance(each, ast.Name)}


def _reasons_in(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            place = _REASON_ARGUMENT.get(name)
            if place is not None:
                said = [*node.args[place : place + 1], *(each.value for each in node.keywords if each.arg in _KEYWORDS)]
                found |= {word for each in said for word in _words(each)}
        elif isinstance(node, ast.Assign) and "POISON" in _names(node):
            found |= _words(node.value)
    return found


def _warnings_in(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "_warnings":
            found |= {word for each in ast.walk(node) if isinstance(each, ast.Yield) for word in _words(each.value)}
        elif isinstance(node, ast.keyword | ast.Assign) and "warnings" in _names(node):
            found |= _words(node.value)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Place"
            and len(node.args) > 1
        ):
            found |= _words(node.args[1])
    return found


def test_every_reason_of_the_code_is_in_the_list_and_every_reason_of_the_list_in_the_code() -> None:
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in _deciding_files()]
    assert {word for tree in trees for word in _reasons_in(tree)} == REASONS.keys()


def test_every_warning_of_the_code_is_in_the_list_and_every_warning_of_the_list_in_the_code() -> None:
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in _deciding_files()]
    assert {word for tree in trees for word in _warnings_in(tree)} == WARNINGS.keys()


@pytest.mark.parametrize(
    ("code", "reasons", "warnings"),
    [
        ('raise Refused("a" if kinds <= "b" else "c")', {"a", "c"}, set()),
        ('self._undo(event, "d")', {"d"}, set()),
        ('Rejected(item.id, reason="i", raw=b"")', {"i"}, set()),
        ('Result(item.id, "quarantined", "e")', {"e"}, set()),
        ('def _warnings(new):\n  if new.x == "no":\n    yield "f"', set(), {"f"}),
        ('call(warnings=(*(("g",) if x == "no" else ()), *place.warnings))', set(), {"g"}),
        ('Place(located, ("h",), near)', set(), {"h"}),
    ],
)
def test_the_search_for_reasons_and_warnings_finds_them(code: str, reasons: set[str], warnings: set[str]) -> None:
    tree = ast.parse(code)
    assert (_reasons_in(tree), _warnings_in(tree)) == (reasons, warnings)
