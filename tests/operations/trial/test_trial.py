"""Trying a module: what its load makes, what it does when used, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkm.operations.trial import events
from lkm.operations.trial.observation import ObservedEntry, Registration
from lkm.operations.trial.request import Action
from tests.support.modules import built
from tests.support.trying import Told, attempt

EXAMPLES = Path(__file__).parents[3] / "examples"


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
    assert left.entries == (ObservedEntry("/proc/careless", "directory"),)
    assert left.registrations == (Registration("character major number", "231 careless"),)
    problems = told.one(events.Finished).problems
    if where.startswith("emulated"):  # which also says where they were made
        assert problems[0].startswith("/proc/careless is still there (start+")
        assert problems[1].startswith("the character device number of careless is still registered")
        lines = {each.place.line for each in told.all(events.RuleBroken)}
        assert lines == {f"{source}:6", f"{source}:7"}
    else:
        assert problems == (
            "/proc/careless is still there",
            "character major number 231 careless is still registered",
        )


def test_keep(where: str) -> None:
    told = attempt(built("hello"), kernel=where, keep=True)
    assert not told.all(events.Unloaded)
    assert not told.one(events.Finished).problems
