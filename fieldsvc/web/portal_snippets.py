"""How a receiver checks a signature, in four languages: the snippets of docs/subscribers.md, which are tested there."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "pages" / "snippets"
SNIPPETS = tuple(
    (name, title, (_FOLDER / f"verify_{name}.txt").read_text(encoding="utf-8"))
    for name, title in (("python", "Python"), ("js", "Node"), ("java", "Java"), ("php", "PHP"))
)
