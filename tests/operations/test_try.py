"""Trying modules: our own in real kernels, what is told, which kernel is chosen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import pytest

from lkm.errors import FormatError, NotFoundError, ToolError, UsageError
from lkm.operations import try_events as events
from lkm.operations import try_kernel
from lkm.operations.observation import Entry, Registration
from lkm.operations.try_ import Request, run
from lkm.operations.try_events import Outcome
from lkm.operations.try_kernel import Wish
from lkm.operations.try_run import Action, Procedure, Watching
from lkm.tree import kernels
from tests.support.kernels import KernelFiles
from tests.support.modules import built

EXAMPLES = Path(__file__).parents[2] / "examples"
_Event = TypeVar("_Event")


class Told(list[events.Event]):
    """The events of one run."""

    def one(self, kind: type[_Event]) -> _Event:
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[_Event]) -> list[_Event]:
        return [event for event in self if isinstance(event, kind)]

    @property
    def log(self) -> list[str]:
        return [event.record.text for event in self.all(events.Logged)]


def attempt(what: object, *parameters: str, **request: object) -> Told:
    told = Told()
    doing = {name: request.pop(name) for name in _PROCEDURE & request.keys()}
    watching = {name: request.pop(name) for name in _WATCHING & request.keys()}
    wish = Request(
        os.fspath(what),  # type: ignore[call-overload]
        Procedure(parameters, **doing),  # type: ignore[arg-type]
        watching=Watching(**watching),  # type: ignore[arg-type]
        **request,  # type: ignore[arg-type]
    )
    run(wish, told.append)
    return told


_PROCEDURE = {"actions", "sig_enforce", "lockdown", "keep"}
_WATCHING = {"guard", "trace", "fail"}


@pytest.fixture(scope="module", params=["emulated", "vm"])
def where(request: pytest.FixtureRequest, kernel: KernelFiles) -> str:
    return f"{request.param}:{kernel.release}"


HELLO_ACTIONS = (
    Action("write", "/dev/hello", "kept"),
    Action("read", "/dev/hello"),
    Action("set", "num", "8"),
    Action("read", "num"),
    Action("read", "/sys/module/hello/parameters/who"),
    Action("set", "who", "me"),
    Action("read", "/nowhere"),
    Action("write", "/dev/hello", "x" * 257),
)


@pytest.fixture(scope="module")
def hello(where: str) -> Told:
    source = EXAMPLES / "hello"
    return attempt(source, "num=5", "who=big world", kernel=where, actions=HELLO_ACTIONS)


def test_what_a_load_makes(hello: Told, where: str) -> None:
    assert hello.one(events.KernelChosen).kernel == where
    assert hello.one(events.Loaded).parameters == 'num=5 who="big world"'
    assert "hello: hello, big world (num=5, 4 primes)" in hello.log
    state = hello.one(events.State)
    assert (state.module, state.state, state.refcount, state.holders) == ("hello", "Live", 0, ())
    assert state.size > 0
    assert state.address > 1 << 63
    appeared = hello.one(events.Appeared)
    paths = {entry.path: entry.kind for entry in appeared.entries}
    assert paths["/dev/hello"].startswith("character device 10:")
    assert paths["/sys/devices/virtual/misc/hello"] == "misc"
    assert paths["/sys/module/hello"] == "module"
    assert [each.kind for each in appeared.registrations] == ["misc device"]
    tainted = hello.one(events.Tainted)
    assert tainted.letters == "OE"
    assert "out-of-tree module" in tainted.meanings


def test_parameters_and_symbols(hello: Told) -> None:
    shown = {event.name: event for event in hello.all(events.ParameterShown)}
    assert (shown["num"].type, shown["num"].permission, shown["num"].value) == ("int", 0o644, "5")
    assert shown["who"].value == "big world"
    assert shown["primes"].type == "array of ushort"
    assert shown["loud"].description.startswith("greet with")
    bound = hello.one(events.Bound)
    assert bound.provider == "vmlinux"
    assert {"misc_register", "_printk", "kfree"} <= set(bound.symbols)


def test_actions_in_their_order(hello: Told) -> None:
    told = [(event.action, event.value, event.error) for event in hello.all(events.Acted)]
    assert told[:5] == [
        ("write", "kept", ""),
        ("read", "kept", ""),
        ("set", "8", ""),
        ("read", "8\n", ""),
        ("read", "big world\n", ""),
    ]
    assert "Permission denied" in told[5][2]
    assert told[6][2] == "No such file or directory (ENOENT)"
    assert told[7][2] == "Message too long (EMSGSIZE)"
    assert len(hello.one(events.Finished).problems) == 3


def test_unloaded_and_nothing_left(hello: Told) -> None:
    assert hello.one(events.Unloaded).module == "hello"
    assert hello.one(events.LeftBehind) == events.LeftBehind((), ())
    assert hello.log[-1] == "hello: goodbye, big world"
    kinds = [type(event) for event in hello]
    assert kinds.index(events.Loaded) < kinds.index(events.Acted) < kinds.index(events.Unloaded)


def test_what_a_careless_module_leaves(where: str, tmp_path: Path) -> None:
    source = tmp_path / "careless.c"
    source.write_text(
        "#include <linux/module.h>\n#include <linux/proc_fs.h>\n#include <linux/fs.h>\n"
        "static int __init start(void)\n{\n"
        '\tproc_mkdir("careless", NULL);\n'
        '\treturn register_chrdev(231, "careless", &(const struct file_operations){}) < 0;\n}\n'
        "static void __exit stop(void) { }\n"
        'module_init(start); module_exit(stop); MODULE_LICENSE("GPL");\n'
    )
    told = attempt(source, kernel=where)
    left = told.one(events.LeftBehind)
    assert left.entries == (Entry("/proc/careless", "directory"),)
    assert left.registrations == (Registration("character major number", "231 careless"),)
    assert told.one(events.Finished).problems == (
        "/proc/careless is still there",
        "character major number 231 careless is still registered",
    )


def test_refusal_is_explained(where: str) -> None:
    told = attempt(built("init_fails"), kernel=where)
    assert told.one(events.Refused).error == "ENODEV (No such device)"
    assert not told.all(events.Loaded)
    told = attempt(built("unknown_symbol"), kernel=where)
    refused = told.one(events.Refused)
    assert refused.errno == 2
    assert any("lkm_test_nowhere" in cause for cause in refused.causes)
    assert told.one(events.Finished).problems


def test_oops_kills_the_load_not_the_run(where: str) -> None:
    told = attempt(built("oops"), kernel=where)
    assert told.one(events.Refused).signal == 9
    assert "D" in told.one(events.Tainted).letters
    assert told.one(events.State).state == "Loading"
    crash = told.one(events.Crashed)
    assert "NULL" in crash.words
    assert "oops.c:" in crash.place.line
    assert crash.place.at.endswith("[oops]")
    assert any(line.startswith("BUG: kernel NULL pointer") for line in told.log)


FAULTY = r"""
#include <linux/module.h>
#include <linux/miscdevice.h>
#include <linux/fs.h>
static ssize_t on_write(struct file *f, const char __user *u, size_t n, loff_t *p)
{
	*(volatile int *)8 = 1;
	return n;
}
static const struct file_operations operations = { .owner = THIS_MODULE, .write = on_write };
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR, .name = "faulty", .fops = &operations
};
module_misc_device(device);
MODULE_LICENSE("GPL");
"""


def test_death_of_the_kernel_while_the_module_is_used(where: str, tmp_path: Path) -> None:
    source = tmp_path / "faulty.c"
    source.write_text(FAULTY)
    actions = (Action("write", "/dev/faulty", "1"), Action("read", "/proc/version"))
    told = attempt(source, kernel=where, actions=actions)
    crash = told.one(events.Crashed)
    assert crash.place.at.startswith("on_write+")
    assert crash.place.line == f"{source}:7"
    assert "panicked" in told.one(events.Died).reason
    assert not told.all(events.Acted)
    assert not told.all(events.Unloaded)
    (problem,) = told.one(events.Finished).problems
    assert problem.startswith("the kernel died: the kernel panicked")


def test_switches(where: str) -> None:
    refused = attempt(built("hello"), kernel=where, sig_enforce=True).one(events.Refused)
    assert refused.error.startswith("EKEYREJECTED")
    refused = attempt(built("hello"), kernel=where, lockdown=True).one(events.Refused)
    assert refused.error.startswith("EPERM")


def test_module_that_stays(where: str) -> None:
    refused = attempt(built("busy"), "held=1", kernel=where).one(events.Refused)
    assert (refused.errno, refused.causes) == (11, ("busy is in use: 1 references",))
    refused = attempt(built("no_exit"), kernel=where).one(events.Refused)
    assert refused.causes == ("no_exit has no exit function, so it cannot be unloaded",)


def test_keep(where: str) -> None:
    told = attempt(built("hello"), kernel=where, keep=True)
    assert not told.all(events.Unloaded)
    assert not told.one(events.Finished).problems


def test_compile_errors_are_the_compilers(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int x = nothing;\n")
    with pytest.raises(ToolError) as caught:
        attempt(source)
    assert f"{source}:1:9: error:" in caught.value.output


def test_a_folder_of_several_modules(tmp_path: Path) -> None:
    text = (EXAMPLES / "broken/broken.c").read_text()
    for name in ("one", "two"):
        (tmp_path / f"{name}.c").write_text(text.replace("broken", name))
    (tmp_path / "Kbuild").write_text("obj-m := one.o two.o\n")
    with pytest.raises(UsageError, match="2 modules: one, two") as caught:
        attempt(tmp_path)
    assert caught.value.hint == "choose one: --module two"
    assert attempt(tmp_path, select="one").one(events.Loaded).module == "one"
    with pytest.raises(NotFoundError):
        attempt(tmp_path, select="three")


# Modules of the kernel's tree


def test_name_with_dependencies(where: str) -> None:
    told = attempt("vfat", kernel=where)
    needed = told.one(events.DependencyLoaded)
    assert (needed.module, needed.reason, needed.error) == ("fat", "vfat needs it", "")
    assert told.one(events.Loaded).module == "vfat"
    bound = {event.provider: event.symbols for event in told.all(events.Bound)}
    assert "fat_attach" in bound["fat"]
    assert set(bound) == {"fat", "vmlinux"}
    appeared = told.one(events.Appeared)
    assert Registration("file system", "vfat") in appeared.registrations
    assert told.one(events.LeftBehind) == events.LeftBehind((), ())


def test_alias_and_file_of_the_tree(kernel: KernelFiles) -> None:
    told = attempt("fs-vfat", kernel=f"emulated:{kernel.release}")
    assert told.one(events.Loaded).module == "vfat"
    told = attempt(kernel.modules / "kernel/fs/fat/vfat.ko")
    assert told.one(events.DependencyLoaded).module == "fat"
    assert told.one(events.KernelChosen).reason == "the module was built for it"


def test_file_whose_dependency_lies_beside_it(kernel: KernelFiles) -> None:
    told = attempt(built("importer"), kernel=f"emulated:{kernel.release}")
    needed = told.one(events.DependencyLoaded)
    assert needed.reason == "importer needs it; it lies beside it"
    assert needed.module in [event.provider for event in told.all(events.Bound)]


def test_what_is_built_in(kernel: KernelFiles) -> None:
    builtin = (kernel.modules / "modules.builtin").read_text().split()[-1]
    with pytest.raises(UsageError, match="built into the kernel"):
        attempt(Path(builtin).stem, kernel=f"emulated:{kernel.release}")


# What only the emulated kernel can watch


def test_each_allocation_failed_in_turn() -> None:
    told = attempt(EXAMPLES / "broken", fail_each=True)
    tried = told.all(events.FailureTried)
    assert [each.failed.number for each in tried] == [1, 2, 3, 4]
    assert [each.outcome for each in tried] == [
        Outcome.CLEAN,
        Outcome.CLEAN,
        Outcome.LEAK,
        Outcome.CRASH,
    ]
    source = (EXAMPLES / "broken/broken.c").read_text().splitlines()
    leak = next(n for n, line in enumerate(source, 1) if "cache->names = kmalloc" in line)
    crash = next(n for n, line in enumerate(source, 1) if "second bug" in line)
    (leaked,) = tried[2].leaks
    assert leaked.place.line == f"{EXAMPLES}/broken/broken.c:{leak}"
    assert leaked.size == 4096
    assert tried[3].crash is not None
    assert tried[3].crash.place.line == f"{EXAMPLES}/broken/broken.c:{crash}"
    assert told.one(events.Finished).problems == (
        "when allocation 3 fails: leak",
        "when allocation 4 fails: crash",
    )


def test_a_sound_module_takes_every_failure() -> None:
    told = attempt(EXAMPLES / "hello", fail_each=True, actions=HELLO_ACTIONS[:2])
    tried = told.all(events.FailureTried)
    assert tried
    assert {each.outcome for each in tried} == {Outcome.CLEAN}
    assert told.one(events.Finished).problems == ()


def test_one_allocation_failed() -> None:
    told = attempt(EXAMPLES / "broken", fail=3)
    assert told.one(events.Refused).error == "ENOMEM (Cannot allocate memory)"
    assert told.one(events.FailureTried).outcome is Outcome.LEAK
    told = attempt(EXAMPLES / "broken", fail=1)
    assert told.one(events.FailureTried).outcome is Outcome.CLEAN
    assert told.one(events.Finished).problems == ()
    told = attempt(EXAMPLES / "broken", fail=99)
    assert told.one(events.Finished).problems == ("it makes 4 allocations: none has failed",)


def test_leaks_are_told_unasked() -> None:
    told = attempt(built("leak"))
    leak = told.one(events.Leaked)
    assert (leak.size, leak.place.at.partition("+")[0]) == (100, "on_load")
    (problem,) = told.one(events.Finished).problems
    assert problem.startswith("100 bytes from on_load+")


def test_guard() -> None:
    fault = attempt(built("use_after_free"), guard=True).one(events.Faulted)
    assert (fault.kind, fault.access, fault.offset, fault.size) == (
        "use-after-free",
        "read",
        0,
        100,
    )
    assert fault.freed is not None
    assert "kfree(" in fault.freed.text
    fault = attempt(built("overflow"), guard=True).one(events.Faulted)
    assert (fault.kind, fault.found_at_free, fault.offset) == ("overflow", True, 100)


def test_trace() -> None:
    calls = attempt(EXAMPLES / "hello", trace=True).all(events.Called)
    assert [call.number for call in calls] == list(range(1, len(calls) + 1))
    register = next(call for call in calls if call.function == "misc_register")
    assert register.result == "0"
    assert register.arguments.startswith("misc=0xffffffffc0")
    assert calls[-1].function == "_printk"
    assert "goodbye" in calls[-1].arguments


def test_watching_takes_the_emulated_kernel() -> None:
    for what in ({"guard": True}, {"trace": True}, {"fail": 1}, {"fail_each": True}):
        with pytest.raises(UsageError, match="cannot watch"):
            attempt(built("hello"), kernel="vm", **what)


# Which kernel


def test_kernel_that_the_module_was_built_for(kernel: KernelFiles) -> None:
    choice = try_kernel.choose("emulated", Wish(built_for=kernel.release))
    assert choice.where == f"emulated:{kernel.release}"
    assert choice.reason == "the module was built for it"


def test_kernel_for_what_was_built_for_another() -> None:
    newest = [k for k in kernels.known() if k.vmlinuz][-1]
    choice = try_kernel.choose("vm", Wish(built_for="5.4.0-none"))
    assert choice.where == f"vm:{newest.release}"
    assert choice.reason.startswith("5.4.0-none, for which it was built, is not here; ")


def test_no_kernel_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = built("hello")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "_releases", lambda _: set())
    with pytest.raises(NotFoundError, match="no kernel image is on this machine") as caught:
        attempt(module)
    assert "lkm kernels fetch" in caught.value.hint
    assert "--fetch" in caught.value.hint


def test_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(what: str, *, headers: bool = False, progress: object = None) -> object:
        asked.append((what, headers))
        return here

    here = [k for k in kernels.known() if k.vmlinuz][-1]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "_releases", lambda _: set())
    monkeypatch.setattr(kernels, "fetch", fetch)
    assert try_kernel.choose("emulated", Wish(fetch=True)).known is here
    assert try_kernel.choose("emulated:6.1", Wish(fetch=True, from_source=True)).known is here
    assert try_kernel.choose("emulated", Wish("6.1.0-9-amd64", fetch=True)).known is here
    assert [what for what, _ in asked[1:]] == ["6.1", "6.1.0-9-amd64"]
    assert [headers for _, headers in asked] == [False, True, False]


@pytest.mark.parametrize("where", ["other", "live:6.1", "emulatedd"])
def test_words_that_name_no_kernel(where: str) -> None:
    with pytest.raises(UsageError, match="names no kernel"):
        try_kernel.choose(where, Wish())


def test_release_that_is_not_here() -> None:
    with pytest.raises(NotFoundError) as caught:
        try_kernel.choose("emulated:9.9.9", Wish())
    assert caught.value.hint == "fetch it: lkm kernels fetch 9.9.9   (or add --fetch)"


def test_files_that_are_no_module(tmp_path: Path) -> None:
    whole = built("hello").read_bytes()
    for name, content in (("cut", whole[:3000]), ("empty", b""), ("text", b"no module")):
        path = tmp_path / f"{name}.ko"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=f"{name}.ko"):
            attempt(path)
    (tmp_path / "folder.ko").mkdir()
    with pytest.raises(NotFoundError, match="neither a Kbuild nor a Makefile"):
        attempt(tmp_path / "folder.ko")
    other = tmp_path / "other.ko"
    other.write_bytes(whole[:18] + b"\xb7\0" + whole[20:])  # e_machine: EM_AARCH64
    refused = attempt(other).one(events.Refused)
    assert refused.error == "ENOEXEC (Exec format error)"
    assert any("another processor" in cause for cause in refused.causes)


def test_no_such_thing() -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        attempt("nothing.ko")
    with pytest.raises(NotFoundError, match="no module 'nothing'"):
        attempt("nothing")
