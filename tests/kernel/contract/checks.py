"""The contract between a Kernel and those who use it, as functions of a fresh kernel.

They use nothing but a ``Kernel`` and plain asserts, for they also run inside a guest, where
there is no pytest.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Callable
from functools import partial

from lkm import taint
from lkm.errors import KernelError, NotFoundError
from lkm.kernel.kernel import Kernel, ParameterValue

Built = Callable[[str], str]
"""Gives the path of one of our test modules."""


def refusal(action: Callable[[], object]) -> KernelError:
    """Return the KernelError that ``action`` must raise."""
    try:
        action()
    except KernelError as error:
        return error
    raise AssertionError("the kernel did not refuse")


def check_load_and_unload(kernel: Kernel, built: Built) -> None:
    before = [module.name for module in kernel.modules()]
    with kernel.watch_log() as watch:
        loaded = kernel.load(built("hello"))
        lines = [record.text for record in watch.new_records()]
    assert (loaded.name, loaded.state, loaded.refcount, loaded.holders) == ("hello", "Live", 0, ())
    assert loaded.size > 0
    assert loaded.taints == "OE"
    assert "hello: loading out-of-tree module taints kernel." in lines
    assert [module.name for module in kernel.modules()] == ["hello", *before]
    assert kernel.initial_state("hello") == "live"
    kernel.unload("hello")
    assert [module.name for module in kernel.modules()] == before
    assert not kernel.exists("/sys/module/hello")


def check_bytes_load_like_a_file(kernel: Kernel, built: Built) -> None:
    with open(built("hello"), "rb") as file:
        assert kernel.load(file.read()).name == "hello"


def check_loading_twice(kernel: Kernel, built: Built) -> None:
    kernel.load(built("hello"))
    assert refusal(lambda: kernel.load(built("hello"))).errno == errno.EEXIST
    assert kernel.is_loaded("hello")


def check_unknown_module(kernel: Kernel, built: Built) -> None:
    assert refusal(lambda: kernel.unload("no_such_module")).errno == errno.ENOENT
    for action in (kernel.module, kernel.parameters):
        try:
            action("no_such_module")
        except NotFoundError:
            continue
        raise AssertionError(action)


def check_parameters_at_load(kernel: Kernel, built: Built) -> None:
    given: dict[str, ParameterValue] = {
        "an_int": -77,
        "a_charp": "two words",
        "a_bool": True,
        "an_array": [9, 8, 7],
    }
    kernel.load(built("params"), given)
    values = kernel.parameters("params")
    assert values["an_int"] == "-77"
    assert values["a_charp"] == "two words"
    assert values["a_bool"] == "Y"
    assert values["an_array"] == "9,8,7"
    assert values["a_ushort"] == "3"
    assert "hidden" not in values


def check_bad_parameters(kernel: Kernel, built: Built) -> None:
    error = refusal(lambda: kernel.load(built("params"), "an_int=five"))
    assert error.errno == errno.EINVAL
    assert any("`five' invalid for parameter `an_int'" in line for line in error.log)
    assert refusal(lambda: kernel.load(built("params"), "a_byte=999")).errno == errno.ERANGE
    assert not kernel.is_loaded("params")


def check_unknown_parameter_only_warns(kernel: Kernel, built: Built) -> None:
    with kernel.watch_log() as watch:
        kernel.load(built("params"), "no_such=1")
        lines = [record.text for record in watch.new_records()]
    assert "params: unknown parameter 'no_such' ignored" in lines


def check_parameters_at_run_time(kernel: Kernel, built: Built) -> None:
    kernel.load(built("params"))
    kernel.set_parameter("params", "an_int", 123)
    assert kernel.parameters("params")["an_int"] == "123"
    kernel.set_parameter("params", "an_array", [5, 6])
    assert kernel.parameters("params")["an_array"] == "5,6"
    assert refusal(lambda: kernel.set_parameter("params", "an_int", "x")).errno == errno.EINVAL
    assert refusal(lambda: kernel.set_parameter("params", "a_long", 1)).errno == errno.EACCES
    assert refusal(lambda: kernel.set_parameter("params", "absent", 1)).errno in (
        errno.ENOENT,
        errno.EACCES,
    )
    assert kernel.parameters("params")["an_int"] == "123"


def check_dependency_order(kernel: Kernel, built: Built) -> None:
    error = refusal(lambda: kernel.load(built("importer")))
    assert error.errno == errno.ENOENT
    assert any("importer: Unknown symbol" in line and "(err -2)" in line for line in error.log)
    kernel.load(built("exporter"))
    kernel.load(built("importer"))
    assert kernel.module("exporter").holders == ("importer",)
    assert kernel.holders("exporter") == ("importer",)
    assert kernel.refcount("exporter") == 1
    assert kernel.refcount("importer") == 0


def check_unload_refused_while_held(kernel: Kernel, built: Built) -> None:
    kernel.load(built("exporter"))
    kernel.load(built("importer"))
    assert refusal(lambda: kernel.unload("exporter")).errno == errno.EAGAIN
    kernel.unload("importer")
    assert kernel.refcount("exporter") == 0
    kernel.unload("exporter")
    assert not kernel.is_loaded("exporter")


def check_unload_refused_while_in_use(kernel: Kernel, built: Built) -> None:
    kernel.load(built("busy"))
    kernel.set_parameter("busy", "held", True)
    assert kernel.refcount("busy") == 1
    assert refusal(lambda: kernel.unload("busy")).errno == errno.EAGAIN
    kernel.set_parameter("busy", "held", False)
    kernel.unload("busy")
    assert not kernel.is_loaded("busy")


def check_forced_unload(kernel: Kernel, built: Built) -> None:
    kernel.load(built("no_exit"))
    assert refusal(lambda: kernel.unload("no_exit")).errno == errno.EBUSY
    kernel.unload("no_exit", force=True)
    assert not kernel.is_loaded("no_exit")
    assert "R" in taint.letters(kernel.taint())


def check_init_failing(kernel: Kernel, built: Built) -> None:
    numbers = (
        *(errno.EPERM, errno.ENOENT, errno.EIO, errno.ENXIO, errno.ENOEXEC, errno.EAGAIN),
        *(errno.ENOMEM, errno.EACCES, errno.EBUSY, errno.EEXIST, errno.ENODEV, errno.EINVAL),
        *(errno.ENOSPC, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETIMEDOUT, errno.EKEYREJECTED, 517),
    )
    for number in numbers:
        error = refusal(partial(kernel.load, built("init_fails"), {"result": -number}))
        # Newer kernels keep EEXIST for a module that is loaded already, and say EBUSY for init's.
        said = {number, errno.EBUSY} if number == errno.EEXIST else {number}
        assert error.errno in said
        assert error.signal == 0
        assert not kernel.is_loaded("init_fails")


def check_init_returning_a_positive_number(kernel: Kernel, built: Built) -> None:
    with kernel.watch_log() as watch:
        kernel.load(built("init_fails"), {"result": 7})
        text = "\n".join(record.text for record in watch.new_records())
    assert re.search(r"init_fails(: |'->)init suspiciously returned 7", text)
    assert kernel.initial_state("init_fails") == "live"


def check_oops_in_init(kernel: Kernel, built: Built) -> None:
    error = refusal(lambda: kernel.load(built("oops")))
    assert (error.errno, error.signal) == (0, signal.SIGKILL)
    assert any("NULL pointer dereference" in line for line in error.log)
    _check_stuck(kernel, "oops")


def check_bug_in_init(kernel: Kernel, built: Built) -> None:
    error = refusal(lambda: kernel.load(built("bug")))
    assert (error.errno, error.signal) == (0, signal.SIGSEGV)
    assert any("kernel BUG at" in line for line in error.log)
    _check_stuck(kernel, "bug")


def _check_stuck(kernel: Kernel, name: str) -> None:
    """The machine lives on, and the module stays where its init died."""
    module = kernel.module(name)
    assert (module.state, module.refcount) == ("Loading", 1)
    assert kernel.initial_state(name) == "coming"
    assert refusal(lambda: kernel.unload(name)).errno == errno.EBUSY
    assert "D" in taint.letters(kernel.taint())


def check_warning_in_init(kernel: Kernel, built: Built) -> None:
    with kernel.watch_log() as watch:
        kernel.load(built("warn"))
        lines = [record.text for record in watch.new_records()]
    assert any(re.match(r"WARNING: (CPU: |.*, CPU#\d)", line) for line in lines)
    assert "W" in taint.letters(kernel.taint())
    kernel.unload("warn")


def check_taint(kernel: Kernel, built: Built) -> None:
    assert kernel.taint() == 0
    kernel.load(built("proprietary"))
    assert taint.letters(kernel.taint()) == "POE"
    assert kernel.module("proprietary").taints == "POE"
    kernel.unload("proprietary")
    assert taint.letters(kernel.taint()) == "POE"


def check_states(kernel: Kernel, built: Built) -> None:
    kernel.load(built("states"))
    with kernel.watch_log() as watch:
        kernel.load(built("hello"))
        kernel.unload("hello")
        refusal(lambda: kernel.load(built("init_fails")))
        lines = [r.text for r in watch.new_records() if r.text.startswith("states: ")]
    assert lines == [
        "states: hello coming",
        "states: hello live",
        "states: hello going",
        "states: init_fails coming",
        "states: init_fails going",
    ]


def check_init_memory_is_freed(kernel: Kernel, built: Built) -> None:
    kernel.load(built("hello"))
    assert kernel.read_text("/sys/module/hello/initsize").strip() == "0"
    sections = kernel.list_directory("/sys/module/hello/sections")
    assert ".init.text" in sections  # the kernel goes on naming it


def check_log(kernel: Kernel, built: Built) -> None:
    whole = kernel.log()
    assert whole[0].text.startswith("Linux version")
    last = whole[-1].sequence
    kernel.load(built("hello"))
    new = kernel.log_since(last)
    assert new
    assert [record.sequence for record in new] == list(range(last + 1, last + 1 + len(new)))
    assert all(record.microseconds >= whole[-1].microseconds for record in new)


def check_garbage(kernel: Kernel, built: Built) -> None:
    with open(built("hello"), "rb") as file:
        whole = file.read()
    assert refusal(lambda: kernel.load(b"")).errno == errno.EINVAL
    assert refusal(lambda: kernel.load(b"no module at all" * 10)).errno == errno.ENOEXEC
    assert refusal(lambda: kernel.load(whole[: len(whole) // 2])).errno == errno.ENOEXEC
    assert not kernel.is_loaded("hello")


def check_files(kernel: Kernel, built: Built) -> None:
    assert kernel.command_line
    assert kernel.stat("/proc").is_directory
    assert "module" in kernel.list_directory("/sys")
    assert "modules" in kernel.list_directory("/proc")
    kernel.load(built("exporter"))
    kernel.load(built("importer"))
    target = kernel.read_link("/sys/module/exporter/holders/importer")
    assert target.endswith("/importer")
    try:
        kernel.read_file("/proc/no_such_file")
    except FileNotFoundError:
        return
    raise AssertionError("a file that is not there was read")


CHECKS: dict[str, Callable[[Kernel, Built], None]] = {
    name.removeprefix("check_"): check
    for name, check in sorted(globals().items())
    if name.startswith("check_")
}
