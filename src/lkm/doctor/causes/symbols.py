"""A symbol that cannot be bound, or that two modules offer.

Source: ``kernel/module/main.c`` (resolve_symbol, simplify_symbols, verify_exported_symbols).
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EINVAL, ENOENT, ENOEXEC

from lkm.doctor.causes.version import crc_evidence, rebuild
from lkm.doctor.finding import Evidence, Finding, Fix, Severity


def unknown_message(module: str, symbol: str, errno: int = ENOENT) -> str:
    """Return the kernel's line for a symbol that could not be bound."""
    return f"{module}: Unknown symbol {symbol} (err -{errno})"


def not_loaded(module: str, symbol: str, provider: str, path: str = "") -> Finding:
    """A module that is there, but not loaded, exports it."""
    return Finding(
        "dependency-not-loaded",
        Severity.FATAL,
        f"{symbol} is exported by the module {provider}, which is not loaded",
        ENOENT,
        unknown_message(module, symbol),
        module=module,
        subject=symbol,
        evidence=(Evidence("exported by", provider, path),),
        fixes=(
            Fix(
                f"load {provider} first; modprobe does so by itself for an installed module",
                (f"sudo modprobe {provider}",),
            ),
        ),
    )


def unknown(
    module: str,
    symbol: str,
    *,
    elsewhere: Sequence[str] = (),
    nearest: Sequence[str] = (),
    release: str = "",
) -> Finding:
    """Nobody exports it here; ``elsewhere`` says which known kernels do."""
    evidence = [Evidence("exported in", text) for text in elsewhere]
    if nearest:
        evidence.append(Evidence("names like it", ", ".join(nearest)))
    where = f" {release}" if release else ""
    return Finding(
        "unknown-symbol",
        Severity.FATAL,
        f"neither the kernel{where} nor any module known to it exports {symbol}",
        ENOENT,
        unknown_message(module, symbol),
        module=module,
        subject=symbol,
        evidence=tuple(evidence),
        fixes=(
            Fix(
                "change the source to what this kernel offers, "
                "or load the module that exports it if it is one of yours"
            ),
        ),
    )


def unknown_from_log(module: str, symbol: str) -> Finding:
    """The log's line alone: three causes look the same in it."""
    return Finding(
        "unknown-symbol",
        Severity.FATAL,
        f"{symbol} could not be bound: the module that exports it is not loaded, or nothing "
        "exports it, or it is GPL-only and this module's licence is not GPL-compatible",
        ENOENT,
        unknown_message(module, symbol),
        module=module,
        subject=symbol,
        fixes=(
            Fix(
                "load it with modprobe, which loads what it needs; else ask which of the three",
                (f"sudo modprobe {module}", f"lkm doctor {module}"),
            ),
        ),
    )


def gpl_only(module: str, symbol: str, licence: str, provider: str = "") -> Finding:
    """Exported, but only to modules with a GPL-compatible licence; the kernel says "unknown"."""
    return Finding(
        "gpl-only-symbol",
        Severity.FATAL,
        f"{symbol} is exported for GPL-compatible modules only, and this one's licence is "
        f"{licence!r}; the kernel words it as an unknown symbol",
        ENOENT,
        unknown_message(module, symbol),
        module=module,
        subject=symbol,
        evidence=(
            Evidence("export", "EXPORT_SYMBOL_GPL", provider or "the kernel"),
            Evidence("licence", licence),
        ),
        fixes=(
            Fix(
                "state a GPL-compatible licence in the source, if it is under one, and rebuild: "
                'MODULE_LICENSE("GPL");'
            ),
        ),
    )


def gpl_and_proprietary(module: str, symbol: str, provider: str) -> Finding:
    """It uses GPL-only symbols and one of a proprietary module."""
    return Finding(
        "gpl-and-proprietary",
        Severity.FATAL,
        f"the module uses GPL-only symbols, and {symbol} of the proprietary module {provider}",
        ENOENT,
        f"{module}: module using GPL-only symbols uses symbols {symbol} from proprietary module "
        f"{provider}.",
        module=module,
        subject=symbol,
        evidence=(Evidence("proprietary", provider),),
        fixes=(Fix("use one or the other; no licence allows both"),),
    )


def wrong_crc(
    module: str,
    symbol: str,
    wanted: int | None = None,
    have: int | None = None,
    *,
    provider: str = "",
    release: str = "",
    path: str = "",
) -> Finding:
    """The symbol's checksum differs: its type, or a type it uses, changed."""
    owner = f"the module {provider}" if provider else "the kernel"
    return Finding(
        "symbol-version",
        Severity.FATAL,
        f"{symbol} of {owner} has changed since the module was built: its checksum differs",
        EINVAL,
        f"{module}: disagrees about version of symbol {symbol}",
        module=module,
        subject=symbol,
        evidence=crc_evidence(wanted, have),
        fixes=(rebuild(release, path),),
    )


def no_crc(module: str, symbol: str, *, errno: int = EINVAL, fatal: bool = True) -> Finding:
    """The module has no checksum for a symbol that has one: its table of versions is not whole."""
    return Finding(
        "no-symbol-version",
        Severity.FATAL if fatal else Severity.WARNING,
        f"the module carries no checksum for {symbol}, so it cannot be told whether it fits",
        errno if fatal else 0,
        f"{module}: no symbol version for {symbol}",
        module=module,
        subject=symbol,
        fixes=(rebuild(),),
    )


def err_22(module: str, symbol: str) -> Finding:
    """``Unknown symbol … (err -22)``: the line before it says which of two it was."""
    return Finding(
        "symbol-version",
        Severity.FATAL,
        f"{symbol} is there, but its checksum differs, or its namespace is not imported",
        EINVAL,
        unknown_message(module, symbol, EINVAL),
        module=module,
        subject=symbol,
        fixes=(rebuild(),),
    )


def namespace(module: str, symbol: str, name: str, *, fatal: bool = True) -> Finding:
    """The symbol is in a namespace that the module does not import."""
    if name.startswith("module:"):
        return reserved(module, symbol, name)
    return Finding(
        "namespace",
        Severity.FATAL if fatal else Severity.WARNING,
        f"{symbol} is in the symbol namespace {name}, which the module does not import",
        EINVAL if fatal else 0,
        f"{module}: module uses symbol ({symbol}) from namespace {name}, but does not import it.",
        module=module,
        subject=symbol,
        evidence=(Evidence("namespace", name),),
        fixes=(
            Fix(
                f"add the import to the source and rebuild: MODULE_IMPORT_NS({name}); "
                f'(MODULE_IMPORT_NS("{name}"); since Linux 6.13)'
            ),
        ),
    )


def reserved(module: str, symbol: str, name: str) -> Finding:
    """The symbol is for named modules only (EXPORT_SYMBOL_FOR_MODULES, since 6.16)."""
    return Finding(
        "namespace",
        Severity.FATAL,
        f"{symbol} is reserved for the modules {name.removeprefix('module:')}: no import opens "
        f"it to {module}",
        EINVAL,
        f"{module}: module uses symbol ({symbol}) from namespace {name}, but does not import it.",
        module=module,
        subject=symbol,
        evidence=(Evidence("namespace", name),),
        fixes=(
            Fix("take a newer version of the driver, which does without it, or an older kernel"),
        ),
    )


def duplicate(module: str, symbol: str, owner: str) -> Finding:
    """Another module, or the kernel, exports the same name."""
    return Finding(
        "duplicate-symbol",
        Severity.FATAL,
        f"{symbol} is already exported by {owner}: two builds of the same code, or a name clash",
        ENOEXEC,
        f"{module}: exports duplicate symbol {symbol} (owned by {owner})",
        module=module,
        subject=symbol,
        evidence=(Evidence("exported by", owner),),
        fixes=(
            Fix(
                f"unload {owner} first if this module replaces it; else rename the symbol",
                (f"sudo modprobe -r {owner}",),
            )
            if owner != "kernel"
            else Fix("the kernel has this code built in: the module is not needed"),
        ),
    )


def waiting(module: str, owner: str) -> Finding:
    """A module it needs has not finished its init after 30 seconds."""
    return Finding(
        "dependency-stuck",
        Severity.FATAL,
        f"the init function of {owner}, which {module} needs, did not end within 30 seconds",
        16,
        f"{module}: gave up waiting for init of module {owner}.",
        module=module,
        subject=owner,
        fixes=(
            Fix(
                f"see where {owner} hangs",
                ("echo w | sudo tee /proc/sysrq-trigger", "sudo dmesg | tail -60"),
            ),
        ),
    )
