"""Source trees as their authors lay them out: each builds, and nothing is written beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lkm.build import kbuild
from lkm.build.kbuild import BuildOptions
from lkm.errors import BuildError, UnsupportedError, UsageError
from lkm.module.image import ModuleImage
from tests.support.kernels import KernelFiles

DRIVER = """#include <linux/module.h>
{head}
static int __init m_init(void) {{ {body} return 0; }}
static void __exit m_exit(void) {{ }}
module_init(m_init); module_exit(m_exit); MODULE_LICENSE("GPL");
"""
PLAIN = DRIVER.format(head="", body="")
ANSWER = DRIVER.format(head='#include "answer.h"', body="BUILD_BUG_ON(ANSWER != 42);")
FLAGGED = DRIVER.format(head="#ifndef FLAGGED\n#error not as its author builds it\n#endif", body="")
DKMS = """PACKAGE_NAME="drv"
PACKAGE_VERSION="1"
BUILT_MODULE_NAME[0]="drv"
DEST_MODULE_LOCATION[0]="/extra"
"""

LAYOUTS: dict[str, tuple[dict[str, str], str, str]] = {
    "parent-include": (
        {
            "include/answer.h": "#define ANSWER 42\n",
            "driver/drv.c": ANSWER,
            "driver/Kbuild": "obj-m := drv.o\nccflags-y := -I$(src)/../include\n",
        },
        "driver",
        "drv",
    ),
    "parent-as-a-whole": (
        {
            "shared/answer.h": "#define ANSWER 42\n",
            "driver/drv.c": ANSWER.replace("answer.h", "shared/answer.h"),
            "driver/Kbuild": "obj-m := drv.o\nccflags-y := -I$(src)/..\n",
        },
        "driver",
        "drv",
    ),
    "pwd": (
        {
            "Makefile": "obj-m := drv.o\nccflags-y := -I$(PWD)/include\n",
            "include/answer.h": "#define ANSWER 42\n",
            "drv.c": ANSWER,
        },
        ".",
        "drv",
    ),
    "wrapper-with-its-own-names": (
        {
            "Makefile": "WHERE = /usr/src/linux\nall:\n"
            "\t$(MAKE) -C $(WHERE) O=$(OUT) M=$(CURDIR)/src CONFIG_DRV=m modules\n",
            "src/Kbuild": "obj-$(CONFIG_DRV) := drv.o\nccflags-y := $(if $(OUT),-DFLAGGED)\n",
            "src/drv.c": FLAGGED,
        },
        ".",
        "drv",
    ),
    "running-kernel-in-the-recipe": (
        {
            "Makefile": "all:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD) "
            "EXTRA=-DFLAGGED modules && sudo insmod drv.ko\n"
            "obj-m := drv.o\nccflags-y := $(EXTRA)\n",
            "drv.c": FLAGGED,
        },
        ".",
        "drv",
    ),
    "dkms": (
        {
            "dkms.conf": f"{DKMS}PRE_BUILD='prepare yes'\nPATCH[0]=fix.patch\n"
            'MAKE[0]="make -C ${kernel_source_dir} CONFIG_DRV=m'
            ' M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build"\n',
            "Makefile": "obj-$(CONFIG_DRV) := drv.o\n",
            "prepare": '#!/bin/sh\necho "#define ANSWER 4$1" | sed s/yes/1/ > answer.h\n',
            "patches/fix.patch": "--- a/drv.c\n+++ b/drv.c\n@@ -2 +2 @@\n"
            '-#include "question.h"\n+#include "answer.h"\n',
            "drv.c": ANSWER.replace("answer.h", "question.h").replace("42", "41"),
        },
        ".",
        "drv",
    ),
    "configure": (
        {
            "configure": "#!/bin/sh\n# --with-kernel-dir=DIR\n"
            'for o; do case $o in --with-kernel-dir=*) d=${o#*=};; esac; done\n'
            '[ -f "$d/Makefile" ] || exit 1\nsed "s|@KERNEL@|$d|" Makefile.in > Makefile\n',
            "Makefile.in": "all:\n\t$(MAKE) -C @KERNEL@ M=$(CURDIR)/src modules\n",
            "src/Kbuild": "obj-m := drv.o\n",
            "src/drv.c": PLAIN,
        },
        ".",
        "drv",
    ),
    "bare": ({"one.c": PLAIN, "two.c": PLAIN}, ".", "one two"),
    "bare-parts": (
        {
            "drv.c": DRIVER.format(head="int answer(void);", body="if (answer() != 42) return -1;"),
            "answer.c": "int answer(void);\nint answer(void) { return 42; }\n",
        },
        ".",
        "bare_parts",
    ),
    "subfolders": (
        {
            "b/upper.c": DRIVER.format(head="int lower(void);", body="lower();"),
            "b/Kbuild": "obj-m := upper.o\n",
            "a/lower.c": "#include <linux/module.h>\nint lower(void);\nint lower(void)"
            ' { return 1; }\nEXPORT_SYMBOL_GPL(lower);\nMODULE_LICENSE("GPL");\n',
            "a/Kbuild": "obj-m := lower.o\n",
        },
        ".",
        "lower upper",
    ),
}  # fmt: skip


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: KernelFiles) -> None:
    assert kernel.headers.is_absolute()  # found before the cache moves
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LANG", "C")
    monkeypatch.delenv("LC_CTYPE", raising=False)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str, tmp_path: Path, kernel: KernelFiles) -> None:
    files, place, names = LAYOUTS[name]
    folder = tmp_path / "project" / name
    _write(folder, files)
    before = _tree(folder)
    built = kbuild.build(folder / place, kernel.headers)
    assert [path.stem for path in built.modules] == names.split()
    for path in built.modules:
        vermagic = ModuleImage.open(path).vermagic
        assert vermagic is not None
        assert vermagic.release == kernel.release
    assert _tree(folder) == before, "the author's folder was written to"
    again = kbuild.build(folder / place, kernel.headers)
    assert (again.modules, again.seconds) == (built.modules, 0)


def test_variables_for_make_and_what_editors_read(tmp_path: Path, kernel: KernelFiles) -> None:
    _write(tmp_path / "p", {"Kbuild": "obj-$(CONFIG_DRV) := drv.o\n", "drv.c": PLAIN})
    with pytest.raises(UsageError, match="builds no module") as caught:
        kbuild.build(tmp_path / "p", kernel.headers)
    assert "--make" in caught.value.hint
    built = kbuild.build(tmp_path / "p", kernel.headers, BuildOptions(("CONFIG_DRV=m",)))
    assert [path.name for path in built.modules] == ["drv.ko"]
    assert built.compile_commands is not None
    (command,) = json.loads(built.compile_commands.read_text())
    assert command["file"] == str(tmp_path / "p/drv.c")
    assert "-DMODULE" in command["command"]


def test_in_place(tmp_path: Path, kernel: KernelFiles) -> None:
    _write(tmp_path / "p", {"Kbuild": "obj-m := drv.o\n", "drv.c": PLAIN})
    built = kbuild.build(tmp_path / "p", kernel.headers, BuildOptions(in_place=True))
    assert built.modules == (tmp_path / "p/drv.ko",)
    with pytest.raises(UsageError, match="one file"):
        kbuild.build(tmp_path / "p/drv.c", kernel.headers, BuildOptions(in_place=True))


def test_a_package_that_is_not_for_this_kernel(tmp_path: Path, kernel: KernelFiles) -> None:
    conf = f'{DKMS}MAKE[0]="make"\nBUILD_EXCLUSIVE_KERNEL="^2\\.6\\."\n'
    _write(tmp_path / "p", {"dkms.conf": conf, "Kbuild": "obj-m := drv.o\n", "drv.c": PLAIN})
    with pytest.raises(UnsupportedError, match="BUILD_EXCLUSIVE"):
        kbuild.build(tmp_path / "p", kernel.headers)


CAUSES = {
    "#include <linux/proc_fs.h>\nvoid *f(struct inode *i);\nvoid *f(struct inode *i)"
    " { return PDE_DATA(i); }": r"no PDE_DATA since Linux 5\.17: pde_data\(\)",
    "void f(void);\nvoid f(void) { kthread_stop(NULL); }": r"declared in <linux/kthread\.h>",
    "#include <linux/smp_lock.h>": r"<linux/smp_lock\.h> is gone since Linux 2\.6\.39",
    "#include <asm/semaphore.h>": r"it is <linux/semaphore\.h>",
    '#include "mine.h"': r'"mine\.h" is neither in the source',
    "int other_module(void);\nint f(void);\nint f(void) { return other_module(); }":
        r"neither kernel \S+ nor the source exports",
    "#include <linux/kallsyms.h>\nvoid f(void);\n"
    'void f(void) { kallsyms_lookup_name("x"); }': r"no kallsyms_lookup_name since Linux 5\.7",
    "#undef MODULE_LICENSE\n#define MODULE_LICENSE(text)": r"under which licence",
}  # fmt: skip


@pytest.mark.parametrize("head", CAUSES)
def test_cause_in_one_sentence(head: str, tmp_path: Path, kernel: KernelFiles) -> None:
    (tmp_path / "drv.c").write_text(DRIVER.format(head=head, body=""))
    with pytest.raises(BuildError) as caught:
        kbuild.build(tmp_path / "drv.c", kernel.headers)
    assert re.search(CAUSES[head], str(caught.value)), str(caught.value)
    assert "make -C" not in str(caught.value)
    assert caught.value.decisive in caught.value.output
