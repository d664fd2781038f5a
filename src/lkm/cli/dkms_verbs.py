"""The verbs of ``lkm dkms`` that dkms has not: doctor, sign, repair, hooks, test, new, logs."""

from __future__ import annotations

import os
import sys
from xml.sax.saxutils import escape, quoteattr

from lkm.build.dkms_lock import locked
from lkm.cli.output import print_json
from lkm.errors import UsageError
from lkm.operations.dkms.session import DkmsSession

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lkm.cli.dkms_console import Console
    from lkm.cli.dkms_options import CommandLine
    from lkm.operations.dkms.examine import DkmsFinding
    from lkm.operations.dkms.proving import Proof

    Verb = Callable[[CommandLine, Console], int]


def run(line: CommandLine, console: Console) -> int:
    """Run a verb of ours; return its exit status (0 done, 1 there is something to mend)."""
    return _VERBS[line.verb](line, console)


def _doctor(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms.examine import examine, installed_kernels

    line = _with_module(line)
    session = DkmsSession(_without_default_kernel(line), console)
    findings = examine(session)
    if "json" in line.switches:
        print_json("dkms-doctor", findings=[_as_dict(finding) for finding in findings])
    else:
        for finding in findings:
            print(_finding_text(finding))
        packages = sum(1 for _ in session.tree.packages())
        kernels = len(session.settings.targets or installed_kernels(session))
        problems = sum(1 for finding in findings if not finding.note)
        print(f"{packages} packages, {kernels} kernels: {problems or 'no'} problems")
    return 1 if any(not finding.note for finding in findings) else 0


def _without_default_kernel(line: CommandLine):  # type: ignore[no-untyped-def]
    """Return the settings with only the kernels that were named."""
    return line.settings if line.kernels_given else line.settings.replaced(targets=())


def _with_module(line: CommandLine) -> CommandLine:
    """Return the line with its first word as the package."""
    if not line.words or line.settings.module:
        return line
    module, _, version = line.words[0].partition("/")
    settings = line.settings.replaced(module=module, version=version)
    return line.replaced(settings=settings, words=line.words[1:])


def _as_dict(record: object) -> dict[str, object]:
    return dict(vars(record))


def _finding_text(finding: DkmsFinding) -> str:
    place = ", ".join(part for part in (finding.package, finding.kernel) if part) or "this machine"
    mark = "note" if finding.note else "problem"
    fix = f"\n          {finding.fix}" if finding.fix else ""
    return f"{mark:>8}  {place}: {finding.text}{fix}"


def _sign(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms.resign import resign

    line = _with_module(line)
    session = DkmsSession(_without_default_kernel(line), console)
    with locked(line.settings.dkms_tree, console.complain):
        signed = resign(session, again=line.verb == "resign")
    if "json" in line.switches:
        print_json("dkms-sign", signed=[_as_dict(one) for one in signed])
    else:
        print(f"{len(signed)} modules signed")
    return 0


def _repair(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms.repair import repair

    line = _with_module(line)
    session = DkmsSession(line.settings, console)
    with locked(line.settings.dkms_tree, console.complain):
        done = repair(session, remove=line.settings.force)
    if "json" in line.switches:
        print_json("dkms-repair", packages=[_as_dict(one) for one in done])
    else:
        for one in done:
            print(f"{one.package}: {one.outcome} ({one.detail})")
        if not done:
            print("no package is broken")
    return 1 if any(one.outcome == "kept" for one in done) else 0


def _hooks(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms import hooks

    named = bool(line.values.get("root"))  # "/" leaves no prefix in the settings
    if not line.words or line.words[0] not in ("install", "remove") or not named:
        roots = "" if named else " and a root: --root DIR (--root / for this machine)"
        raise UsageError(
            f"hooks needs install or remove{roots}",
            hint=f"lkm dkms hooks install --root / [{'|'.join(hooks.FAMILIES)}…]",
        )
    families = line.words[1:] or hooks.FAMILIES
    unknown = [name for name in families if name not in hooks.FAMILIES]
    if unknown:
        raise UsageError(f"{unknown[0]}: not one of {', '.join(hooks.FAMILIES)}")
    root = line.settings.root
    if line.words[0] == "install":
        done = hooks.install(root, families, replace=line.settings.force)
    else:
        done = hooks.remove(root, families)
    for file in done:
        print(f"{file.outcome:>8}  {file.path}")
    foreign = [file for file in done if file.outcome == "foreign"]
    if foreign:
        console.complain("what is foreign was left alone; --force replaces it")
    return 1 if foreign else 0


def _configure(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms.configure import configure
    from lkm.operations.dkms.reporting import DkmsFailure, tell

    line = _with_module(line)
    with locked(line.settings.dkms_tree, console.complain):
        try:
            return configure(DkmsSession(line.settings, console))
        except DkmsFailure as failure:
            tell(console, failure)
            return failure.status


def _new(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms import new

    if len(line.words) != 1:
        raise UsageError("new needs one folder", hint="lkm dkms new FOLDER [-m NAME] [-v VERSION]")
    settings = line.settings
    path = new.write(
        line.words[0], name=settings.module, version=settings.version, replace=settings.force
    )
    print(path)
    return 0


def _logs(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms import attempts

    line = _with_module(line)
    if not line.settings.module:
        raise UsageError("logs needs a package", hint="lkm dkms logs MODULE")
    paths = attempts.kept(line.settings.module)
    for path in paths:
        status = path.rpartition("-")[2].removesuffix(".log")
        why = attempts.decisive_line(path) if status != "0" else ""
        print(path + (f": {why}" if why else ""))
    return 0


def _test(line: CommandLine, console: Console) -> int:
    from lkm.operations.dkms.proving import kernels_named, prove

    if not line.words:
        raise UsageError(
            "test needs the folder of a package", hint="lkm dkms test FOLDER --kernels all --try"
        )
    kernels = kernels_named(line.values.get("kernels", ()), fetch="fetch" in line.switches)
    proofs: list[Proof] = []
    as_json = "json" in line.switches
    for folder in line.words:
        for proof in prove(
            line.settings, folder, kernels, load="try" in line.switches, progress=_progress
        ):
            proofs.append(proof)
            if not as_json:
                detail = f": {proof.detail}" if proof.detail else ""
                print(f"{proof.package}, {proof.kernel}: {proof.outcome}{detail}")
    if as_json:
        print_json("dkms-test", proofs=[_as_dict(proof) for proof in proofs])
    for option, text in (("junit", _junit(proofs)), ("markdown", _markdown(proofs))):
        for path in line.values.get(option, ()):
            from lkm.files import write_atomic

            write_atomic(path, text.encode())
    return 0 if all(proof.is_good for proof in proofs) else 1


def _progress(release: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{release} …\r", end="", file=sys.stderr, flush=True)


def _junit(proofs: Sequence[Proof]) -> str:
    cases = []
    for proof in proofs:
        name = f"name={quoteattr(proof.kernel)} classname={quoteattr(proof.package)}"
        inner = ""
        if proof.outcome == "excluded":
            inner = f"<skipped message={quoteattr(proof.detail)}/>"
        elif not proof.is_good:
            text = escape("".join(c for c in proof.log if c in "\t\n" or c >= " "))
            inner = f"<failure message={quoteattr(proof.detail)}>{text}</failure>"
        cases.append(f"  <testcase {name}>{inner}</testcase>\n")
    failures = sum(not proof.is_good for proof in proofs)
    head = f'<testsuite name="dkms" tests="{len(proofs)}" failures="{failures}">\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{"".join(cases)}</testsuite>\n'


def _markdown(proofs: Sequence[Proof]) -> str:
    kernels = list(dict.fromkeys(proof.kernel for proof in proofs))
    packages = list(dict.fromkeys(proof.package for proof in proofs))
    cells = {(proof.package, proof.kernel): proof for proof in proofs}
    rows = ["| package | " + " | ".join(kernels) + " |", "|---" * (len(kernels) + 1) + "|"]
    for package in packages:
        found = (cells.get((package, kernel)) for kernel in kernels)
        rows.append(f"| {package} | " + " | ".join(p.outcome if p else "" for p in found) + " |")
    notes = [
        f"- {proof.package} on {proof.kernel}: `{proof.detail}`"
        for proof in proofs
        if not proof.is_good and proof.detail
    ]
    return "\n".join(rows + ([""] if notes else []) + notes) + "\n"


_VERBS: dict[str, Verb] = {
    "doctor": _doctor,
    "sign": _sign,
    "resign": _sign,
    "repair": _repair,
    "hooks": _hooks,
    "configure": _configure,
    "new": _new,
    "logs": _logs,
    "test": _test,
}
VERBS = tuple(_VERBS)


def status_json(line: CommandLine, console: Console) -> int:
    """Print the status as a document, with what is broken in it."""
    from lkm.operations.dkms.status import status

    session = DkmsSession(line.settings, console)
    entries = []
    for found in status(session):
        entry = found.entry
        entries.append(
            {
                "module": entry.package.module,
                "version": entry.package.version,
                "state": entry.state,
                "kernel": entry.target.kernel if entry.target else None,
                "arch": entry.target.arch if entry.target else None,
                "remarks": [remark.strip("()") for remark in found.remarks],
            }
        )
    print_json("dkms-status", tree=os.path.abspath(line.settings.dkms_tree), entries=entries)
    return 0


def watch_status(line: CommandLine, console: Console) -> int:
    """Show the status, and again whenever it has changed, until interrupted."""
    import time

    from lkm.operations.dkms.status import status

    shown: list[str] = []
    while True:
        lines = [found.text for found in status(DkmsSession(line.settings, console))]
        if lines != shown:
            new = [text for text in lines if text not in shown]
            print("\n".join(new) if shown else "\n".join(lines), flush=True)
            shown = lines
        time.sleep(1)
