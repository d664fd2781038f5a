"""A matrix as other programs read it: JUnit XML, SARIF 2.1.0, Markdown.

Source: the JUnit schema as Jenkins and GitLab read it; OASIS SARIF 2.1.0; GitHub's Markdown tables.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from lkm.cli.text import printable


@dataclass(frozen=True, slots=True)
class ReportCell:
    """One subject on one kernel: the word shown, whether that is well, why not, and where.

    ``is_skipped`` says that nothing was found out; ``seconds`` is 0 for a prediction.
    """

    subject: str
    path: str
    release: str
    word: str
    is_good: bool
    is_skipped: bool = False
    why: str = ""
    decisive: str = ""
    file: str = ""
    line: int = 0
    seconds: float = 0.0


def junit(cells: Sequence[ReportCell]) -> str:
    """Return a test suite for each subject, a test case for each kernel."""
    root = ElementTree.Element("testsuites", name="lkm matrix")
    for subject in dict.fromkeys(cell.subject for cell in cells):
        own = [cell for cell in cells if cell.subject == subject]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml(subject),
            tests=str(len(own)),
            failures=str(sum(not cell.is_good and not cell.is_skipped for cell in own)),
            skipped=str(sum(cell.is_skipped for cell in own)),
            errors="0",
            time=f"{sum(cell.seconds for cell in own):.3f}",
        )
        for cell in own:
            _test_case(suite, cell)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _test_case(suite: ElementTree.Element, cell: ReportCell) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_xml(cell.subject),
        name=cell.release,
        time=f"{cell.seconds:.3f}",
    )
    if cell.is_skipped:
        ElementTree.SubElement(case, "skipped", message=_xml(cell.why))
    elif not cell.is_good:
        failure = ElementTree.SubElement(
            case, "failure", type=cell.word, message=_xml(cell.why or cell.word)
        )
        where = f"{_xml(cell.file)}:{cell.line}\n" if cell.file else ""
        failure.text = f"{where}{_xml(cell.decisive)}"


def _xml(text: str) -> str:
    """Return the text without characters that XML 1.0 has not."""
    return "".join(c if c.isprintable() else " " for c in printable(text))


def sarif(cells: Sequence[ReportCell], version: str) -> str:
    """Return one run with a result for each cell that is not well."""
    rules = sorted({cell.word for cell in cells if not cell.is_good})
    run = {
        "tool": {
            "driver": {
                "name": "lkm matrix",
                "version": version,
                "rules": [
                    {"id": _rule(word), "shortDescription": {"text": word}} for word in rules
                ],
            }
        },
        "results": [_result(cell) for cell in cells if not cell.is_good],
        "columnKind": "unicodeCodePoints",
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2) + "\n"


def _rule(word: str) -> str:
    return word.replace(" ", "-")


def _result(cell: ReportCell) -> dict[str, object]:
    told = cell.why or cell.word
    path = os.path.relpath(cell.file) if cell.file else os.path.relpath(cell.path)
    uri = path if not path.startswith("..") else f"file://{os.path.abspath(path)}"
    place: dict[str, object] = {"artifactLocation": {"uri": _uri(uri)}}
    if cell.line:
        place["region"] = {"startLine": cell.line}
    return {
        "ruleId": _rule(cell.word),
        "level": "note" if cell.is_skipped else "error",
        "message": {"text": f"{cell.subject} on {cell.release}: {told}"},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote  # only a report in SARIF needs it

    return quote(path, safe="/:")


def markdown(cells: Sequence[ReportCell]) -> str:
    """Return a table with a line for each subject and kernel, the failures' lines below it."""
    lines = ["| module | kernel | verdict | why |", "|---|---|---|---|"]
    lines += [f"| {_cell(c.subject)} | {c.release} | {c.word} | {_cell(c.why)} |" for c in cells]
    for cell in cells:
        if cell.decisive and not cell.is_good:
            lines += ["", f"**{_cell(cell.subject)} on {cell.release}**"]
            lines += ["", f"    {printable(cell.decisive)}"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(printable(text).split()).replace("\\", "\\\\").replace("|", "\\|")


def table(cells: Sequence[ReportCell], columns: int) -> Iterable[str]:
    """Yield the lines of a table that fits ``columns``: a line a kernel, what is long wrapped."""
    import textwrap  # only what is shown to people needs it

    releases = max(len("KERNEL"), *(len(cell.release) for cell in cells))
    words = max(len("VERDICT"), *(len(cell.word) for cell in cells))
    indent = 2 + releases + 2 + words + 2
    room = columns - indent
    if room < 24:  # the reason has lines of its own
        indent, room = 6, max(columns - 6, 20)
    for subject in dict.fromkeys(cell.subject for cell in cells):
        own = [cell for cell in cells if cell.subject == subject]
        yield printable(subject)
        for cell in own:
            head = f"  {cell.release:{releases}}  {cell.word:{words}}"
            reason = printable(cell.why)
            lines = textwrap.wrap(reason, room, break_on_hyphens=False) if reason else []
            if indent != 6 and lines:
                yield f"{head}  {lines.pop(0)}"
            else:
                yield head.rstrip()
            yield from (" " * indent + line for line in lines)
