"""Trying what is refused, crashes, or stays: `--sig-enforce`, `--lockdown`."""

from __future__ import annotations

from pathlib import Path

from lkm.operations.trial import events
from lkm.operations.trial.request import Action
from tests.support.modules import built
from tests.support.trying import attempt


def test_refusal_is_explained(where: str) -> None:
    told = attempt(built("init_fails"), kernel=where)
    assert told.one(events.Refused).error == "ENODEV (No such device)"
    assert not told.all(events.Loaded)
    told = attempt(built("unknown_symbol"), kernel=where)
    refused = told.one(events.Refused)
    assert refused.errno == 2
    assert any("lkm_test_nowhere" in cause for cause in refused.causes)
    assert told.one(events.Finished).problems


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


def test_an_oops_in_an_action_costs_its_task_alone(where: str, tmp_path: Path) -> None:
    source = tmp_path / "faulty.c"
    source.write_text(FAULTY)
    actions = (Action("write", "/dev/faulty", "1"), Action("read", "/proc/version"))
    told = attempt(source, kernel=where, actions=actions)
    crash = told.one(events.Crashed)
    assert crash.place.at.startswith("on_write+")
    assert crash.place.line == f"{source}:7"
    written, read = told.all(events.Acted)
    assert "killed by signal" in written.error
    assert "Linux version" in read.value
    assert not told.all(events.Died)
    assert not told.all(events.Unloaded)
    assert any("a task's death in" in what for what in told.one(events.NotChecked).what)
    assert "killed by signal" in told.one(events.Finished).problems[0]
