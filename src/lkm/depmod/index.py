"""depmod: from the modules of a kernel to its index files, reading only what has changed.

The files are those of kmod 30's ``depmod -a``, byte for byte.
"""

from __future__ import annotations

import os

from lkm.depmod.cache import Cache, CachedState
from lkm.depmod.listings import Listings
from lkm.depmod.request import OUTPUTS, PARTS, IndexOutcome, IndexRequest, files_now, reporter
from lkm.depmod.rules import Rules, load_rules
from lkm.depmod.signature import stat_all
from lkm.depmod.walk import find_modules, in_order
from lkm.module.names import module_name

TYPE_CHECKING = False  # as typing has it, which takes 8 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lkm.depmod.request import Messages, Progress
    from lkm.depmod.rules import Report

_SHOWN = (
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.devname",
)
_MESSAGE_ORDER = ("search", "modules", "symbol check", *PARTS, "cycles")


def index_tree(
    request: IndexRequest,
    report: Report,
    progress: Progress,
    explain: Callable[[str], None] | None = None,
) -> IndexOutcome:
    """Bring the index files of a tree up to date; problems of single modules go to ``report``.

    ``explain`` is called with the reasons why modules need each other. Raises ``OSError`` when
    the directory cannot be listed or the files cannot be written.
    """
    messages: Messages = {}
    try:
        return _index(request, messages, progress, explain)
    finally:
        _pass_on(messages, report)


def show_tree(request: IndexRequest, report: Report, progress: Progress) -> Iterator[bytes]:
    """Yield the text index files, one after the other, without writing any."""
    from lkm.depmod.update import Update  # as below

    messages: Messages = {}
    try:
        found = _search(request, _rules(request, messages), messages, None)
        ordered = in_order(request.directory, found, reporter(messages, "search"))
        texts = Update(request, messages, progress).texts(ordered)
        yield from (texts[name] for name in _SHOWN if name in texts)
    finally:
        _pass_on(messages, report)


def _pass_on(messages: Messages, report: Report) -> None:
    """Report all messages, in kmod's order."""
    for part in _MESSAGE_ORDER:
        for level, text in messages.get(part, ()):
            report(level, text)


def _index(
    request: IndexRequest,
    messages: Messages,
    progress: Progress,
    explain: Callable[[str], None] | None,
) -> IndexOutcome:
    # What is asked for beyond the files cannot be told from what was kept.
    beyond = request.files or request.prefix or request.kernel_symbols is not None or explain
    cache = None
    if request.cache and not beyond:
        cache = Cache(request.cache, request.directory, request.output)
    old = cache.load_state() if cache else None
    rules = _rules(request, messages)
    circumstances = repr((rules, request.warn_twice, OUTPUTS))
    listings = None
    if old:
        listings = Listings(old.listings if old.circumstances == circumstances else {})
        if request.workers > 1 and not request.busy:
            listings.share()
    try:
        found = _search(request, rules, messages, listings)
    finally:
        if listings:
            listings.unshare()
    paths = list(found.values())
    now = CachedState(
        circumstances=circumstances,
        paths="".join([f"{path}\0" for path in paths]),
        signatures=stat_all(request.directory, paths, listings.signatures) if listings else [],
        files=files_now(request),
        messages={},
        facts=0,
        listings=listings.now() if listings else {},
    )
    if old and now == old.replaced(messages={}, facts=0, listings=now.listings):
        if cache and now.listings != old.listings:
            cache.save_state(old.replaced(listings=now.listings))
        messages.clear()
        messages.update(old.messages)
        return IndexOutcome(len(paths), 0, ())
    from lkm.depmod.update import Update  # what a run that finds nothing to do can spare

    ordered = in_order(request.directory, found, reporter(messages, "search"))
    os.makedirs(request.output, exist_ok=True)
    return Update(request, messages, progress, explain=explain, cache=cache, old=old).run(
        ordered, now
    )


def _rules(request: IndexRequest, messages: Messages) -> Rules:
    if request.files:
        return Rules()  # there is nothing to choose among
    return load_rules(request.config, request.release, reporter(messages, "search"))


def _search(
    request: IndexRequest, rules: Rules, messages: Messages, listings: Listings | None
) -> dict[str, str]:
    """Return the modules: name → path."""
    if request.files:
        inside = f"{request.directory}/"
        return {module_name(path): path.removeprefix(inside) for path in request.files}
    return find_modules(request.directory, rules, reporter(messages, "search"), listings)
