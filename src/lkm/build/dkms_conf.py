"""dkms.conf: what a package says of itself, for one kernel.

Source: dkms(8) "DKMS.CONF" and dkms's ``read_conf``, ``read_conf_strict``.
"""

from __future__ import annotations

import functools
import os

from lkm.build import dkms_shell
from lkm.build.dkms_version import padded
from lkm.record import Record

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lkm.build.dkms_shell import ShellAnswer, Values

SCRIPTS = ("POST_ADD", "POST_BUILD", "POST_INSTALL", "POST_REMOVE", "PRE_BUILD", "PRE_INSTALL")
_PLACES = (
    "BUILT_MODULE_NAME",
    "BUILT_MODULE_LOCATION",
    "DEST_MODULE_NAME",
    "DEST_MODULE_LOCATION",
)
_EXCLUSIVE = ("KERNEL", "KERNEL_MIN", "KERNEL_MAX", "ARCH", "CONFIG")
_SWITCHES = ("AUTOINSTALL", "BUILD_DEPENDS_REBUILD", "NO_WEAK_MODULES")
_DEPRECATED = (
    "CLEAN",
    "REMAKE_INITRD",
    "MODULES_CONF",
    "MODULES_CONF_OBSOLETES",
    "MODULES_CONF_ALIAS_TYPE",
    "MODULES_CONF_OBSOLETE_ONLY",
    "OBSOLETE_BY",
)
VARIABLES = (
    "PACKAGE_NAME",
    "PACKAGE_VERSION",
    *SCRIPTS,
    "BUILD_DEPENDS",
    *(f"BUILD_EXCLUSIVE_{name}" for name in _EXCLUSIVE),
    "MAKE",
    "MAKE_MATCH",
    "PATCH",
    "PATCH_MATCH",
    *_PLACES,
    "STRIP",
    *_SWITCHES,
    *_DEPRECATED,
)
"""The variables that are read back from a dkms.conf."""

MATCHED = {
    "MAKE_MATCH": "kernelver",
    "PATCH_MATCH": "kernelver",
    "BUILD_EXCLUSIVE_KERNEL": "kernelver",
    "BUILD_EXCLUSIVE_ARCH": "arch",
}
"""The variables that hold regular expressions, and what these are held against."""

NOTED = _DEPRECATED


class Circumstances(Record):
    """For what a dkms.conf is read: the package, the kernel, and where things are."""

    module: str
    version: str
    kernel: str
    arch: str
    dkms_tree: str
    source_tree: str
    install_tree: str
    tmp: str
    kernel_source: str
    kernel_config: str
    distribution: str
    location: str = ""
    """Where the distribution puts all modules, ``/updates/dkms``; empty: as the package says."""
    etc: str = "/etc/dkms"

    def visible(self) -> dict[str, str]:
        """Return the shell variables that dkms lets a dkms.conf use."""
        return {
            "module": self.module,
            "module_version": self.version,
            "kernelver": self.kernel,
            "arch": self.arch,
            "dkms_tree": self.dkms_tree,
            "source_tree": self.source_tree,
            "install_tree": self.install_tree,
            "tmp_location": self.tmp,
            "kernel_source_dir": self.kernel_source,
            "kernel_config": self.kernel_config,
            "running_distribution": self.distribution,
            "current_kernel": os.uname().release,
            "current_os": "Linux",
        }

    def files(self, conf: str) -> tuple[str, ...]:
        """Return the package's file and the administrator's, the last of which wins."""
        module, own = self.module, f"{self.etc}/{self.module}"
        names = [f"{own}.conf", f"{own}-{self.version}.conf"] if module else []
        if module:
            names += [
                f"{own}-{self.version}-{self.kernel}.conf",
                f"{own}-{self.version}-{self.kernel}-{self.arch}.conf",
                f"{own}--{self.kernel}.conf",
                f"{own}--{self.kernel}-{self.arch}.conf",
            ]
        return (conf, *names)


class BuiltModule(Record):
    """One module a package makes: where make leaves it, where it is installed.

    ``built`` is the path below the build folder without ``.ko``; ``location`` the folder below
    ``/lib/modules/KERNEL`` it goes to, ``written_location`` the one the package asked for;
    ``fits`` says whether the BUILD_EXCLUSIVE directives allow it for this kernel.
    """

    built: str
    name: str
    location: str
    written_location: str
    strip: bool
    fits: bool


class DkmsConf(Record):
    """What a package says of itself, for one kernel.

    ``errors`` make it unusable, ``strict_errors`` unfit for add, build and install;
    ``deprecated`` are (directive, file) pairs.
    """

    package_name: str
    package_version: str
    modules: tuple[BuiltModule, ...]
    make: str
    clang: bool
    patches: tuple[str, ...]
    scripts: Mapping[str, str]
    build_depends: tuple[str, ...]
    rebuild_with_depends: bool
    autoinstall: bool
    no_weak_modules: bool
    obsolete_by: str
    is_restricted: bool
    errors: tuple[str, ...]
    strict_errors: tuple[str, ...]
    deprecated: tuple[tuple[str, str], ...]
    complaints: str = ""

    @property
    def is_excluded(self) -> bool:
        """Whether BUILD_EXCLUSIVE directives leave nothing of it for this kernel."""
        return self.is_restricted and bool(self.modules) and not self.fitting

    @property
    def fitting(self) -> tuple[BuiltModule, ...]:
        """The modules that are built for this kernel."""
        return tuple(module for module in self.modules if module.fits)


def read(
    jobs: Iterable[tuple[Circumstances, str]], directives: tuple[str, ...] = ()
) -> list[DkmsConf]:
    """Return what the files say, for each pair of circumstances and a package's own file."""
    wanted = list(jobs)
    answers = dkms_shell.read(
        [
            dkms_shell.Job(circumstances.files(conf), circumstances.visible(), directives)
            for circumstances, conf in wanted
        ],
        VARIABLES,
        matched=MATCHED,
        noted=NOTED,
    )
    return [
        interpret(answer, circumstances)
        for answer, (circumstances, _) in zip(answers, wanted, strict=True)
    ]


def interpret(answer: ShellAnswer, circumstances: Circumstances) -> DkmsConf:
    """Return the meaning of what the files set."""
    values = answer.values
    errors: list[str] = []
    name, version = _first(values, "PACKAGE_NAME"), _first(values, "PACKAGE_VERSION")
    for directive, value in (("PACKAGE_NAME", name), ("PACKAGE_VERSION", version)):
        if not value:
            errors.append(f"dkms.conf: Error! No '{directive}' directive specified.")
    exclusive = _Exclusive(answer, circumstances)
    modules = _modules(values, circumstances, name, exclusive, errors)
    switches = {switch: _switch(values, switch, errors) for switch in _SWITCHES}
    clang = _is_clang(circumstances)
    return DkmsConf(
        package_name=name,
        package_version=version,
        modules=modules,
        make=_make_command(answer, circumstances) + (" LLVM=1" if clang else ""),
        clang=clang,
        patches=_patches(answer),
        scripts={script.lower(): _first(values, script) for script in SCRIPTS},
        build_depends=tuple(_ordered(values, "BUILD_DEPENDS")),
        rebuild_with_depends=switches["BUILD_DEPENDS_REBUILD"],
        autoinstall=switches["AUTOINSTALL"],
        no_weak_modules=switches["NO_WEAK_MODULES"],
        obsolete_by=_first(values, "OBSOLETE_BY"),
        is_restricted=exclusive.is_any,
        errors=tuple(errors),
        strict_errors=_duplicates(modules),
        deprecated=_deprecated(answer),
        complaints=answer.complaints,
    )


def _first(values: Values, name: str) -> str:
    return values.get(name, {}).get(0, "")


def _ordered(values: Values, name: str) -> list[str]:
    return [value for _, value in sorted(values.get(name, {}).items())]


def _counted(values: Values, name: str) -> list[str]:
    """Return elements 0 to n-1 where n are set: what lies behind a hole does not count."""
    array = values.get(name, {})
    return [array.get(index, "") for index in range(len(array))]


def _modules(
    values: Values,
    circumstances: Circumstances,
    package: str,
    exclusive: _Exclusive,
    errors: list[str],
) -> tuple[BuiltModule, ...]:
    arrays = [values.get(place, {}) for place in _PLACES]
    count = max((index for array in arrays for index in array), default=-1) + 1
    strips = values.get("STRIP", {})
    default_strip = _strip(strips.get(0, ""), "yes")
    modules = []
    for index in range(count):
        built, folder, name, written = (array.get(index, "") for array in arrays)
        if not built and count == 1:
            built = package
        name = name or built
        if folder and not folder.endswith("/"):
            folder += "/"
        if not built:
            errors.append(
                f"dkms.conf: Error! No 'BUILT_MODULE_NAME' directive specified for record #{index}."
            )
        for directive, value in (("BUILT_MODULE_NAME", built), ("DEST_MODULE_NAME", name)):
            if value.endswith((".o", ".ko")):
                errors.append(
                    f"dkms.conf: Error! '{directive}' directive ends in '.o' or '.ko'"
                    f" in record #{index}."
                )
        errors += _location_errors(written, index)
        modules.append(
            BuiltModule(
                built=folder + built,
                name=name,
                location=circumstances.location or written,
                written_location=written,
                strip=_strip(strips.get(index, ""), default_strip) != "no",
                fits=exclusive.allows(index),
            )
        )
    return tuple(modules)


def _strip(value: str, default: str) -> str:
    return {"n": "no", "y": "yes"}.get(value[:1].lower(), default if not value else "")


def _location_errors(location: str, index: int) -> list[str]:
    if not location:
        return [
            f"dkms.conf: Error! No 'DEST_MODULE_LOCATION' directive specified for record #{index}."
        ]
    if location.startswith(("/kernel", "/updates", "/extra")):
        return []
    return [
        "dkms.conf: Error! Directive 'DEST_MODULE_LOCATION' does not begin with",
        f"'/kernel', '/updates', or '/extra' in record #{index}.",
    ]


def _switch(values: Values, name: str, errors: list[str]) -> bool:
    value = _first(values, name)
    if value.lower() not in ("", "yes", "no"):
        errors.append(f"dkms.conf: Error! Unsupported {name} value '{value}'")
    return value.lower() not in ("", "no")


def _make_command(answer: ShellAnswer, circumstances: Circumstances) -> str:
    values = answer.values
    command = "" if _first(values, "MAKE_MATCH") else _first(values, "MAKE")
    matches = values.get("MAKE_MATCH", {})
    for index, make in enumerate(_counted(values, "MAKE")):
        if make and matches.get(index) and ("MAKE_MATCH", index) in answer.matches:
            command = make
    if command:
        return command
    build = f"{circumstances.dkms_tree}/{circumstances.module}/{circumstances.version}/build"
    return f"make -C {circumstances.kernel_source} M={build}"


def _patches(answer: ShellAnswer) -> tuple[str, ...]:
    matches = answer.values.get("PATCH_MATCH", {})
    return tuple(
        patch
        for index, patch in enumerate(_counted(answer.values, "PATCH"))
        if patch and (not matches.get(index) or ("PATCH_MATCH", index) in answer.matches)
    )


def _duplicates(modules: tuple[BuiltModule, ...]) -> tuple[str, ...]:
    found = []
    for directive, names in (
        ("BUILT_MODULE_NAME", [module.built for module in modules]),
        ("DEST_MODULE_NAME", [module.name for module in modules]),
    ):
        found += [
            f"dkms.conf: Error! Duplicate module '{name}' in '{directive}[{index}]'."
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    return tuple(found)


def _deprecated(answer: ShellAnswer) -> tuple[tuple[str, str], ...]:
    harmless = ("true", "/bin/true", "/usr/bin/true")
    clean = _first(answer.values, "CLEAN") in harmless
    return tuple(note for note in answer.notes if note[0] != "CLEAN" or not clean)


def _is_clang(circumstances: Circumstances) -> bool:
    """Say whether the kernel was compiled by clang, as dkms finds out."""
    image = f"{circumstances.kernel_source}/vmlinux"
    if os.path.exists(image):
        return _comment_names_clang(image)
    return "CONFIG_CC_IS_CLANG=y" in config_lines(circumstances.kernel_config)


def _comment_names_clang(image: str) -> bool:
    from lkm.elf.file import ElfFile
    from lkm.elf.source import FileSource
    from lkm.errors import LkmError  # few headers have a vmlinux

    try:
        return b"clang" in ElfFile(FileSource(image)).named_data(".comment")
    except (LkmError, OSError):
        return False


@functools.cache
def config_lines(path: str) -> frozenset[str]:
    """Return the lines of a kernel's configuration; none where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return frozenset(file.read().splitlines())
    except OSError:
        return frozenset()


class _Exclusive:
    """The BUILD_EXCLUSIVE directives: those of index 0 hold for all records."""

    def __init__(self, answer: ShellAnswer, circumstances: Circumstances) -> None:
        self._values = {
            name: dict(answer.values.get(f"BUILD_EXCLUSIVE_{name}", {})) for name in _EXCLUSIVE
        }
        obsolete_by = _first(answer.values, "OBSOLETE_BY")
        if obsolete_by and not any(self._values["KERNEL_MAX"].values()):
            self._values["KERNEL_MAX"][0] = obsolete_by
        self._matches = answer.matches
        self._circumstances = circumstances

    @property
    def is_any(self) -> bool:
        """Whether there is any such directive."""
        return any(value for array in self._values.values() for value in array.values())

    def allows(self, index: int) -> bool:
        """Say whether record ``index`` is for this kernel."""
        return all(self._allow(place) for place in {0, index})

    def _allow(self, index: int) -> bool:
        kernel = padded(self._circumstances.kernel)
        lowest = self._values["KERNEL_MIN"].get(index)
        highest = self._values["KERNEL_MAX"].get(index)
        if (lowest and kernel < padded(lowest)) or (highest and kernel > padded(highest)):
            return False
        for name in ("KERNEL", "ARCH"):
            wanted = self._values[name].get(index)
            if wanted and (f"BUILD_EXCLUSIVE_{name}", index) not in self._matches:
                return False
        return self._configuration_allows(self._values["CONFIG"].get(index, ""))

    def _configuration_allows(self, words: str) -> bool:
        path = self._circumstances.kernel_config
        if not words or not os.path.exists(path):
            return True
        lines = config_lines(path)
        for word in words.split():
            option = word.removeprefix("!")
            enabled = f"{option}=y" in lines or f"{option}=m" in lines
            if enabled == word.startswith("!"):
                return False
        return True
