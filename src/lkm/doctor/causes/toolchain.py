"""What a compiler says of a module's source: the interface that changed, headers, flags."""

from __future__ import annotations

from lkm.doctor.api_changes import ApiChange, of_name
from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def compiler_too_old(option: str) -> Finding:
    """The kernel was built with a newer compiler than the one at hand."""
    return Finding(
        "compiler-too-old",
        Severity.FATAL,
        f"the compiler does not know {option}: it is older than the one the kernel was built "
        f"with, or another one",
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


def host_library(header: str) -> Finding:
    """A header of the machine's own libraries, which the kernel's host programs are built with."""
    packages = {
        "openssl": "libssl-dev (Debian, Ubuntu), openssl-devel (Fedora, SUSE), openssl (Arch)",
        "libelf": "libelf-dev (Debian, Ubuntu), elfutils-libelf-devel (Fedora), libelf (Arch)",
        "gelf": "libelf-dev (Debian, Ubuntu), elfutils-libelf-devel (Fedora), libelf (Arch)",
        "curses": "libncurses-dev (Debian, Ubuntu), ncurses-devel (Fedora, SUSE)",
    }
    package = next((text for word, text in packages.items() if word in header), "")
    return Finding(
        "host-library",
        Severity.FATAL,
        f"a library that the kernel's own build programs need is not installed: {header}",
        subject=header,
        fixes=(
            Fix(
                f"install {package}" if package else "install what building takes",
                (),
                Need.COMPILER,
            ),
        ),
    )


def api_drift(what: str, place: str = "", names: tuple[str, ...] = ()) -> Finding:
    """The kernel's programming interface changed; the source fits another release.

    ``names`` are words of the message that may be known to have changed.
    """
    change: ApiChange | None = next((known for name in names if (known := of_name(name))), None)
    evidence = [Evidence("at", place)] if place else []
    since = ""
    fixes = []
    if change is not None:
        since = f" in Linux {change.release}: {change.name} {change.what}"
        evidence.append(Evidence("changed in", f"Linux {change.release}"))
        fixes.append(
            Fix(f"in the source, for {change.release} and newer: {change.instead}")
            if change.instead
            else None
        )
    fixes.append(Fix("take a newer version of the driver, or adapt the source to this kernel"))
    return Finding(
        "api-changed",
        Severity.FATAL,
        f"the source does not fit this kernel, whose interface changed{since or ': ' + what}",
        subject=what,
        evidence=tuple(evidence),
        fixes=tuple(fix for fix in fixes if fix is not None),
    )


def header_missing(header: str, place: str = "") -> Finding:
    """A header the source includes is not in this kernel's tree."""
    if (
        header in ("linux/kconfig.h", "generated/autoconf.h", "linux/compiler-version.h")
        or "generated/" in header
    ):
        from lkm.doctor.causes import build

        return build.unprepared(f"{header} is not there")
    if header.startswith(("openssl/", "libelf", "gelf", "ncurses", "curses")):
        return host_library(header)
    change = of_name(header)
    if change is not None:
        return api_drift(f"there is no header {header}", place, (header,))
    kernel = header.startswith(
        ("linux/", "asm/", "net/", "drm/", "uapi/", "sound/", "media/", "scsi/", "crypto/", "rdma/",
         "video/", "trace/", "target/", "soc/", "xen/", "kunit/")
    )  # fmt: skip
    if kernel:
        return Finding(
            "header-missing",
            Severity.FATAL,
            f"the source includes {header}, which this kernel does not have: it was moved or "
            f"removed in a newer kernel "
            "(or is not there yet in an older one), or the headers are not those of the kernel",
            subject=header,
            evidence=(Evidence("at", place),) if place else (),
            fixes=(
                Fix(
                    "take a newer version of the driver, or adapt the source to this kernel's "
                    "interface"
                ),
                Fix(
                    "see where the header went",
                    (
                        f"find /lib/modules/$(uname -r)/build/include -name "
                        f"{header.rpartition('/')[2]}",
                    ),
                ),
            ),
        )
    own = header.partition(".")[0] in (
        "stdio",
        "stdlib",
        "string",
        "unistd",
        "stdint",
        "errno",
        "assert",
        "math",
    )
    cause = (
        f"the source includes {header} of the C library, which code in the kernel cannot use"
        if own
        else f"the source includes {header}, which the compiler does not find: a folder of the "
        f"driver's own is not on "
        "the include path (since Linux 6.15 EXTRA_CFLAGS is ignored: ccflags-y takes its place), "
        "or a file is missing"
    )
    return Finding(
        "header-missing",
        Severity.FATAL,
        cause,
        subject=header,
        evidence=(Evidence("at", place),) if place else (),
        fixes=(
            Fix("build it as a kernel module, through kbuild")
            if own
            else Fix(
                "in the Makefile: ccflags-y += -I$(src)/include, instead of EXTRA_CFLAGS; or "
                "take a newer driver"
            ),
        ),
    )


def other_error(message: str, place: str) -> Finding:
    """An error of the compiler of which no more is known."""
    return Finding(
        "compile-error",
        Severity.FATAL,
        f"the compiler stopped: {message}; a driver that compiled before mostly meets a kernel "
        f"whose interface changed",
        subject=message,
        evidence=(Evidence("at", place),),
        fixes=(Fix("take a newer version of the driver, or adapt the source to this kernel"),),
    )


def warnings_as_errors() -> Finding:
    """Warnings count as errors; the warning above is the cause."""
    return Finding(
        "warnings-as-errors",
        Severity.FATAL,
        "a warning counts as an error here (-Werror, CONFIG_WERROR); the lines above name it",
        fixes=(
            Fix("mend what it warns of, or build without it", ("make KCFLAGS=-Wno-error modules",)),
        ),
    )


def out_of_memory() -> Finding:
    """The compiler was killed for want of memory."""
    return Finding(
        "build-memory",
        Severity.FATAL,
        "the compiler ran out of memory and was killed",
        fixes=(Fix("build with fewer jobs, or add swap", ("make -j1 modules",)),),
    )


def disk_full(text: str) -> Finding:
    """No space left on a disk: what is built or installed is cut short."""
    return Finding(
        "disk-full",
        Severity.FATAL,
        "a disk is full: what was built, installed or packed into the initramfs is cut short",
        28,
        text,
        fixes=(
            Fix(
                "see which, remove kernels no longer used, and do it again", ("df -h / /boot /var",)
            ),
        ),
    )
