from pathlib import Path

from lkm.operations.why import Effect, explain
from tests.support.text_tree import text_tree

DEPENDENCIES = "a.ko: b.ko\nb.ko:\nc.ko:\n"


def _verdicts(tmp_path: Path, config: str, name: str) -> dict[str, tuple[Effect, str]]:
    resolver = text_tree(tmp_path, DEPENDENCIES, config)
    answer = explain(resolver, name)
    return {
        f"{judged.rule.kind} {judged.rule.source.line}": (judged.effect, judged.because)
        for judged in answer.rules
    }


def test_only_the_first_softdep_counts(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "softdep a pre: c\nsoftdep a post: c\n", "a")
    assert verdicts["softdep 1"] == (Effect.APPLIES, "")
    assert verdicts["softdep 2"][0] is Effect.SHADOWED
    assert verdicts["softdep 2"][1].endswith("test.conf:1")


def test_a_blacklist_has_no_effect_by_name_and_as_a_dependency(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "blacklist a\nblacklist b\n", "a")
    assert verdicts["blacklist 1"] == (Effect.NONE, "it is loaded by name, not by an alias")
    assert verdicts["blacklist 2"] == (Effect.NONE, "it is loaded as a dependency of a")


def test_a_blacklist_applies_to_an_alias(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "blacklist a\nalias other a\n", "other")
    assert verdicts["blacklist 1"][0] is Effect.APPLIES


def test_an_install_command_beside_a_softdep_is_not_run(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "softdep a pre: c\ninstall a /bin/true\n", "a")
    assert verdicts["install 2"][0] is Effect.NONE


def test_rules_of_a_masked_file_are_told(tmp_path: Path) -> None:
    text_tree(tmp_path, DEPENDENCIES, "options a x=1\n")
    weak = tmp_path / "lib/modprobe.d/test.conf"
    weak.parent.mkdir()
    weak.write_text("options a x=2\n")
    from lkm.operations.resolve import open_resolver

    answer = explain(open_resolver(str(tmp_path), "1", kernel_command_line=""), "a")
    effects = {judged.rule.value: judged.effect for judged in answer.rules}
    assert effects == {"x=1": Effect.APPLIES, "x=2": Effect.MASKED}


def test_every_place_that_knows_the_name_is_told_and_the_first_decides(tmp_path: Path) -> None:
    aliases = "alias x:* b\nalias x:1* c\n"
    resolver = text_tree(tmp_path, DEPENDENCIES, "alias x:12 a\n", alias=aliases)
    told = [
        (meaning.pattern, meaning.module, meaning.source.line, meaning.decides)
        for meaning in explain(resolver, "x:12").meanings
    ]
    assert told == [("x:12", "a", 1, True), ("x:*", "b", 1, False), ("x:1*", "c", 2, False)]


def test_an_unknown_name_has_no_meaning(tmp_path: Path) -> None:
    answer = explain(text_tree(tmp_path, DEPENDENCIES), "nowhere")
    assert (answer.plan.targets, answer.meanings) == ((), ())


def test_a_slip_is_told_what_it_may_be_of(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "snd-hda-intel.ko:\nloop.ko:\n")
    assert explain(resolver, "snd-hda-intle").similar == ("snd_hda_intel",)
