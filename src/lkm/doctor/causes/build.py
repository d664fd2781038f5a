"""It was never built: what make, modpost and DKMS say, mistaken for load errors."""

from __future__ import annotations

from lkm.doctor.finding import Evidence, Finding, Fix, Need, Severity


def _fatal(
    name: str, cause: str, *fixes: Fix, module: str = "", subject: str = "", place: str = ""
) -> Finding:
    evidence = (Evidence("at", place),) if place else ()
    return Finding(
        name, Severity.FATAL, cause, module=module, subject=subject, evidence=evidence, fixes=fixes
    )


def headers_missing(release: str = "") -> Finding:
    """No headers for the kernel to build against."""
    kernel = release or "that runs"
    return _fatal(
        "headers-missing",
        f"the headers of the kernel {kernel} are not installed, so nothing can be built for it",
        Fix("install them", (), Need.HEADERS, release),
        Fix(
            "an upgraded kernel that was not booted yet: reboot, then build",
            ("sudo reboot",),
            Need.REBOOT,
        ),
        subject=release,
    )


def skipped(release: str) -> Finding:
    """DKMS builds nothing for a kernel whose headers are not there."""
    return _fatal(
        "headers-missing",
        f"DKMS skipped the kernel {release or 'that runs'}: its headers are not installed",
        Fix("install them; then let DKMS build", (), Need.HEADERS, release),
        Fix("build", (), Need.DKMS, release),
        subject=release,
    )


def unprepared(what: str = "") -> Finding:
    """A kernel tree in which ``make modules_prepare`` did not run."""
    return _fatal(
        "tree-unprepared",
        "the kernel tree it builds against is not prepared: "
        + (what or "it has no configuration, or none of the files made from it"),
        Fix("take the distribution's headers, which are prepared", (), Need.HEADERS),
        Fix(
            "or prepare the source: with the configuration of the kernel it is to be for",
            ("cp /boot/config-$(uname -r) .config", "make olddefconfig", "make modules_prepare"),
        ),
        subject=what,
    )


def wrong_host_tools(tool: str) -> Finding:
    """The programs in the headers' scripts/ are for another processor than the one that builds."""
    return _fatal(
        "host-tools",
        f"{tool} does not run here: the programs in the headers' scripts folder were built for "
        f"another "
        "processor (architecture) than this machine's, as after cross-compiling, or with a "
        "64-bit kernel over "
        "a 32-bit user space",
        Fix(
            "build them for this machine",
            ("make -C /lib/modules/$(uname -r)/build scripts modules_prepare",),
        ),
        Fix("or take headers built on this architecture", (), Need.HEADERS),
        subject=tool,
    )


def tool_missing(tool: str) -> Finding:
    """make, or a program that the kernel's build starts, is not installed."""
    return _fatal(
        "build-tool-missing",
        f"the program {tool}, which the build starts, is not installed",
        Fix("install what building takes", (), Need.COMPILER),
        subject=tool,
    )


def compiler_missing(compiler: str) -> Finding:
    """The compiler that the headers name is not there."""
    return _fatal(
        "compiler-missing",
        f"the compiler {compiler} is not installed: the kernel was built with it, and its "
        f"headers ask for it",
        Fix(
            "install that compiler, or one near it",
            (f"{compiler} --version", "cat /proc/version"),
            Need.COMPILER,
        ),
        Fix("or name the one that is there", ("make CC=gcc modules",)),
        subject=compiler,
    )


def compiler_differs(message: str) -> Finding:
    """Kbuild's warning; the module mostly loads all the same."""
    return Finding(
        "compiler-differs",
        Severity.NOTE,
        "another compiler than the kernel's is used: harmless for a neighbouring version, else "
        "build with the same",
        evidence=(Evidence("warning", message),),
        fixes=(Fix("compare", ("cat /proc/version", "gcc --version")),),
    )


def rule_missing(target: str) -> Finding:
    """make finds no rule for a file that a prepared, complete tree has."""
    if target.endswith(("module.lds", "objtool", "fixdep", "modpost", "autoconf.h", "auto.conf",
                        "Makefile", "bounds.h",
                        "resolve_btfids", "modules.order")) or "scripts/" in target:  # fmt: skip
        return unprepared(f"{target} is not there")
    if target.endswith(".pem"):
        return _fatal(
            "certificate-missing",
            f"the kernel's configuration names a certificate that is not there: {target}",
            Fix("take the distribution's own key out of the configuration", (
                "scripts/config --set-str SYSTEM_TRUSTED_KEYS '' --set-str "
                "SYSTEM_REVOCATION_KEYS ''",)),
            subject=target,
        )  # fmt: skip
    return _fatal(
        "make-rule-missing",
        f"make knows no way to make {target}: the source file is missing or has another name, or "
        f"the path in the "
        "Makefile is wrong (M= must be the module's folder, without blanks)",
        Fix(
            "see what is there", ("ls -l", "make -C /lib/modules/$(uname -r)/build M=$PWD modules")
        ),
        subject=target,
    )


def modpost_gpl(module: str, symbol: str) -> Finding:
    """modpost refuses to link a non-GPL module to a GPL-only symbol."""
    return _fatal(
        "modpost-gpl-only",
        f"the build stopped: {module} uses the GPL-only symbol {symbol} and its MODULE_LICENSE "
        f"is not GPL-compatible",
        Fix('state a GPL-compatible licence, if it is under one: MODULE_LICENSE("GPL");'),
        module=module,
        subject=symbol,
    )


def modpost_licence(module: str) -> Finding:
    """modpost refuses a module without MODULE_LICENSE, since 5.10."""
    return _fatal(
        "modpost-licence",
        f"the build stopped: {module} states no licence (MODULE_LICENSE)",
        Fix('state it in the source: MODULE_LICENSE("GPL");'),
        module=module,
    )


def modpost_undefined(module: str, symbol: str) -> Finding:
    """modpost found nobody who exports the symbol."""
    return _fatal(
        "modpost-undefined",
        f"the build stopped: neither this kernel nor a module it was told of exports {symbol}",
        Fix(
            "a symbol of another module of yours: name its Module.symvers",
            ("make -C /lib/modules/$(uname -r)/build M=$PWD "
             "KBUILD_EXTRA_SYMBOLS=../OTHER/Module.symvers modules",),
        ),
        Fix("a symbol of the kernel: this release does not export it; change the source, or take "
            "a newer driver"),
        module=module,
        subject=symbol,
    )  # fmt: skip


def modpost_namespace(module: str, symbol: str, name: str) -> Finding:
    """modpost warns of a namespace that is not imported; the kernel will refuse the module."""
    if name.startswith("module:"):
        return _fatal(
            "namespace-reserved",
            f"{symbol} is reserved for the modules {name.removeprefix('module:')} "
            f"(EXPORT_SYMBOL_FOR_MODULES, since "
            f"Linux 6.16): {module} cannot have it, and no import changes that",
            Fix("take a newer version of the driver, which does without it, or an older kernel"),
            module=module,
            subject=symbol,
        )
    return Finding(
        "namespace",
        Severity.FATAL,
        f"{symbol} is in the namespace {name}, which {module} does not import",
        module=module,
        subject=symbol,
        evidence=(Evidence("namespace", name),),
        fixes=(
            Fix(
                f'add to the source: MODULE_IMPORT_NS("{name}"); from Linux 6.13 on, '
                f"MODULE_IMPORT_NS({name}); before"
            ),
        ),
    )


def import_namespace_form(name: str, place: str = "") -> Finding:
    """MODULE_IMPORT_NS takes a string since 6.13; before, a bare word."""
    return Finding(
        "namespace-form",
        Severity.FATAL,
        "since Linux 6.13 MODULE_IMPORT_NS takes a string: the source was written for an older "
        "kernel",
        subject=name,
        evidence=(Evidence("at", place),) if place else (),
        fixes=(
            Fix(
                f'write MODULE_IMPORT_NS("{name}"); for 6.13 and newer, '
                f"MODULE_IMPORT_NS({name}); before"
            ),
            Fix("or take a newer version of the driver"),
        ),
    )


def modpost_missing_symvers(path: str = "") -> Finding:
    """Without the kernel's Module.symvers nothing is known of its exports."""
    return Finding(
        "symvers-missing",
        Severity.WARNING,
        "the kernel tree has no Module.symvers: the module gets no symbol versions, and may be "
        "refused by a kernel "
        "that wants them",
        subject=path,
        fixes=(
            Fix("take the distribution's headers, which have it", (), Need.HEADERS),
            Fix("or build the kernel in that tree once", ("make modules",)),
        ),
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
    return _fatal(
        "dkms-excluded",
        "the DKMS package declares that it is not for this kernel (BUILD_EXCLUSIVE)",
        Fix("take a version of the package made for this kernel, or another kernel"),
        subject=release,
    )


def dkms_not_newer(module: str) -> Finding:
    """DKMS leaves the kernel's own module in place."""
    return _fatal(
        "dkms-not-newer",
        f"DKMS did not install {module}: the kernel has a module of that name and the same or a "
        f"newer version",
        Fix(
            "use the kernel's own, or install over it",
            ("sudo dkms install --force MODULE/VERSION",),
        ),
        module=module,
    )


def dkms_tree(what: str) -> Finding:
    """DKMS's tree names a source that is gone, or lacks one."""
    return _fatal(
        "dkms-tree",
        f"DKMS's tree and the sources on disk disagree: {what}",
        Fix("see what is there; remove what has no source, add what is missing",
            ("dkms status", "sudo dkms remove MODULE/VERSION --all",
             "sudo dkms add MODULE/VERSION")),
    )  # fmt: skip


def dkms_nothing_built(module: str) -> Finding:
    """make succeeded, and the file that dkms.conf names is not there."""
    return _fatal(
        "dkms-no-module",
        f"the build ended without {module}: dkms.conf names a module that the Makefile does not "
        f"make for this kernel, "
        "or the build failed without saying so",
        Fix("read make.log; compare BUILT_MODULE_NAME in dkms.conf with the Makefile",
            ("lkm doctor --log /var/lib/dkms/MODULE/VERSION/build/make.log",)),
        module=module,
    )  # fmt: skip
