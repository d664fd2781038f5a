"""It was never built: what the compiler, modpost and DKMS say, mistaken for load errors."""

from __future__ import annotations

from lkm.doctor.finding import Evidence, Finding, Fix, Severity


def headers_missing(release: str = "") -> Finding:
    """No headers for the kernel to build against."""
    kernel = release or "$(uname -r)"
    return Finding(
        "headers-missing",
        Severity.FATAL,
        f"the headers of the kernel {kernel} are not installed, so nothing can be built for it",
        subject=release,
        fixes=(Fix("install them", (f"sudo apt-get install linux-headers-{kernel}",)),),
    )


def modpost_gpl(module: str, symbol: str) -> Finding:
    """modpost refuses to link a non-GPL module to a GPL-only symbol."""
    return Finding(
        "modpost-gpl-only",
        Severity.FATAL,
        f"the build stopped: {module} uses the GPL-only symbol {symbol} "
        "and its MODULE_LICENSE is not GPL-compatible",
        module=module,
        subject=symbol,
        fixes=(Fix('state a GPL-compatible licence, if it is under one: MODULE_LICENSE("GPL");'),),
    )


def modpost_undefined(module: str, symbol: str) -> Finding:
    """modpost found nobody who exports the symbol."""
    return Finding(
        "modpost-undefined",
        Severity.FATAL,
        f"the build stopped: neither this kernel nor a module it was told of exports {symbol}",
        module=module,
        subject=symbol,
        fixes=(
            Fix(
                "a symbol of another module of yours: name its Module.symvers",
                ("make -C /lib/modules/$(uname -r)/build M=$PWD "
                 "KBUILD_EXTRA_SYMBOLS=../OTHER/Module.symvers modules",),
            ),
            Fix("a symbol of the kernel: this release does not export it; change the source"),
        ),
    )  # fmt: skip


def modpost_namespace(module: str, symbol: str, name: str) -> Finding:
    """modpost warns of a namespace that is not imported; the kernel will refuse the module."""
    return Finding(
        "namespace",
        Severity.FATAL,
        f"{symbol} is in the namespace {name}, which {module} does not import",
        module=module,
        subject=symbol,
        evidence=(Evidence("namespace", name),),
        fixes=(Fix(f"add to the source: MODULE_IMPORT_NS({name});"),),
    )


def compiler_too_old(option: str) -> Finding:
    """The kernel was built with a newer compiler than the one at hand."""
    return Finding(
        "compiler-too-old",
        Severity.FATAL,
        f"the compiler does not know {option}: it is older than the one the kernel was built with",
        subject=option,
        fixes=(
            Fix(
                "see which compiler the kernel wants, and install it",
                ("cat /proc/version", "gcc --version"),
            ),
        ),
    )


def plugin_version() -> Finding:
    """GCC's plugins were built by another GCC."""
    return Finding(
        "compiler-plugins",
        Severity.FATAL,
        "the kernel's compiler plugins were built for another version of gcc",
        fixes=(Fix("use the gcc that built the kernel", ("cat /proc/version", "gcc --version")),),
    )


def api_drift(what: str, place: str = "") -> Finding:
    """The kernel's programming interface changed; the source fits another release."""
    return Finding(
        "api-changed",
        Severity.FATAL,
        f"the source does not fit this kernel, whose interface changed: {what}",
        subject=what,
        evidence=(Evidence("at", place),) if place else (),
        fixes=(Fix("take a newer version of the driver, or adapt the source to this kernel"),),
    )


def dkms_build(module: str, release: str, log: str = "") -> Finding:
    """DKMS could not build; its make.log says why."""
    return Finding(
        "dkms-build",
        Severity.FATAL,
        "DKMS could not build the module; the compiler's own message is in its log",
        module=module,
        subject=release,
        evidence=(Evidence("log", log),) if log else (),
        fixes=(
            Fix(
                "read it",
                (f"lkm doctor --log {log or '/var/lib/dkms/MODULE/VERSION/build/make.log'}",),
            ),
        ),
    )


def dkms_excluded(release: str = "") -> Finding:
    """The package says it is not for this kernel."""
    return Finding(
        "dkms-excluded",
        Severity.FATAL,
        "the DKMS package declares that it is not for this kernel (BUILD_EXCLUSIVE)",
        subject=release,
        fixes=(Fix("take a version of the package made for this kernel, or another kernel"),),
    )
