"""Errors of compilers, in their users' languages: gcc's ``po/``, clang, and make's.

The quoted names in a message are looked up among the kernel's known changes.
"""

from __future__ import annotations

import re

from lkm.doctor.causes import build, toolchain
from lkm.doctor.finding import Finding
from lkm.doctor.rules.rule import LogRule, rule

_QUOTED = re.compile(r"[‘’'`\"“”«»„‚「『]\s?([A-Za-z_][\w.:>*& -]{0,120}?)\s?[’'`\"“”»«“」』]")
_WORDS = re.compile(r"\b[A-Za-z_]\w{3,80}\b")
# "fatal error", "error" and what gcc's translations have for them
_ERROR = (
    r"(?:fatal error|error|erreur fatale?|erreur|schwerwiegender Fehler|Fehler|error fatal|errore irreversibile|errore fatale|"
    r"errore|erro fatal|erro|неустранимая ошибка|фатальная ошибка|ошибка|致命错误|错误|嚴重錯誤|錯誤|致命的エラー|エラー|błąd krytyczny|błąd|"
    r"krytyczny błąd|ödesdigert fel|fel|fatale fout|fout|ölümcül hata|hata|치명적인 오류|오류|помилка|fatální chyba|chyba|végzetes hiba|hiba|"
    r"fatal fejl|fejl|kohtalokas virhe|virhe|eroare fatală|eroare)"
)
_AT = r"(?<!\S)(?P<at>[^\s:]{1,400}:\d{1,7}(?::\d{1,5})?)"
_HEADER = r"(?P<h>[\w./+-]{1,200}\.h(?:pp)?)"


def _names(text: str) -> tuple[str, ...]:
    quoted = [name.removeprefix("struct ").strip() for name in _QUOTED.findall(text)]
    return (*quoted, *_WORDS.findall(text)) if quoted else tuple(_WORDS.findall(text))


def _drift(m: re.Match[str]) -> Finding:
    groups = m.groupdict()
    name = groups.get("f") or ""
    text = m["w"].strip()
    what = (
        {"function": f"there is no function {name}", "member": f"there is no member {name}"}.get(
            _kind(text), ""
        )
        if name
        else ""
    )
    return toolchain.api_drift(
        what or text, m["at"], (name, *_names(text)) if name else _names(text)
    )


_MEMBER = re.compile(
    r"no member named|kein Element namens|ne contient pas|no tiene un miembro|не содержит элемента|没有名为|has no member|non ha un membro|não tem um membro|nie ma składowej|という名前のメンバ",
    re.IGNORECASE,
)


def _kind(text: str) -> str:
    return "member" if _MEMBER.search(text) else "function"


def _import_ns(m: re.Match[str]) -> Finding:
    return build.import_namespace_form(m["n"], m["at"])


def _by_name(m: re.Match[str]) -> Finding:
    names = _names(m["w"])
    found = toolchain.api_drift(m["w"].strip(), m["at"], names)
    if any(evidence.what == "changed in" for evidence in found.evidence):
        return found
    if re.search(
        r"incompatible|too (?:few|many)|unknown type|implicit|undeclared|initiali[sz]|passing argument|redefinition|conflicting|"
        r"assignment of|inkompatib|zu wenige|zu viele|trop (?:peu|d)|необъявлен|incompat|несовместим|不兼容|过多|过少|未声明|未知",
        m["w"],
    ):
        return found
    return toolchain.other_error(m["w"].strip(), m["at"])


COMPILERS: tuple[LogRule, ...] = (
    rule("module_import_ns", rf"{_AT}: {_ERROR}\s?[:：]{{any}}\b(?:MODULE_)?IMPORT_NS\((?P<n>\w{{1,100}})\)", _import_ns),
    # "expected ‘,’ or ‘;’ before ‘DMA_BUF’": what gcc says of a bare word since 6.13; the line after it shows the macro
    rule("before", rf"{_AT}: {_ERROR}\s?[:：] expected [‘'\"`],[’'\"] or [‘'\"`];[’'\"] before [‘'\"`](?P<n>[A-Z][A-Z0-9_]{{1,60}})[’'\"]", _import_ns),
    rule(".h", rf"{_AT}: {_ERROR}\s?[:：]\s?'?{_HEADER}'?\s?[:：]", lambda m: toolchain.header_missing(m["h"], m["at"])),
    rule("file not found", rf"{_AT}: {_ERROR}: '{_HEADER}' file not found", lambda m: toolchain.header_missing(m["h"], m["at"])),
    rule("implicit", rf"{_AT}: (?:{_ERROR}|warning)\s?[:：] (?P<w>implicit declaration of function {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("undeclared function", rf"{_AT}: {_ERROR}: (?P<w>call to undeclared (?:library )?function '(?P<f>\w{{1,200}})')", _drift),
    rule("implizite deklaration", rf"{_AT}: {_ERROR}: (?P<w>implizite Deklaration der Funktion {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("déclaration implicite", rf"{_AT}: {_ERROR}\s?[:：] (?P<w>déclaration implicite de la fonction {{q}}\s?(?P<f>\w{{1,200}}))", _drift),
    rule("implícita", rf"{_AT}: {_ERROR}: (?P<w>declara(?:ción|ção) implícita (?:de la función|da função) {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("неявная декларация", rf"{_AT}: {_ERROR}: (?P<w>неявная декларация функции {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("隐式声明函数", rf"{_AT}: {_ERROR}\s?[:：]\s?(?P<w>隐式声明函数{{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("implicita della funzione", rf"{_AT}: {_ERROR}: (?P<w>dichiarazione implicita della funzione {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("暗黙的な宣言", rf"{_AT}: {_ERROR}\s?[:：]\s?(?P<w>関数 ?{{q}}(?P<f>\w{{1,200}}){{q}} ?の暗黙的な宣言)", _drift),
    rule("no member named", rf"{_AT}: {_ERROR}: (?P<w>[^\n]{{0,300}}(?:has )?no member named {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("kein element namens", rf"{_AT}: {_ERROR}: (?P<w>[^\n]{{0,300}}kein Element namens {{q}}(?P<f>\w{{1,200}}))", _drift),
    rule("undeclared", rf"{_AT}: {_ERROR}: (?P<w>(?:use of undeclared identifier )?{{q}}(?P<f>\w{{1,200}}){{q}} undeclared)", lambda m: toolchain.api_drift(f"{m['f']} is not declared", m["at"], (m["f"],))),
    rule("undeclared identifier", rf"{_AT}: {_ERROR}: (?P<w>use of undeclared identifier '(?P<f>\w{{1,200}})')", lambda m: toolchain.api_drift(f"{m['f']} is not declared", m["at"], (m["f"],))),
    rule("macro", rf"{_AT}: {_ERROR}: (?P<w>macro {{q}}(?P<f>\w{{1,200}}){{q}} (?:passed|requires) {{e}})", lambda m: toolchain.api_drift(m["w"], m["at"], (m["f"],))),
    *(rule(word, rf"{_AT}: {_ERROR}\s?[:：]\s?(?P<w>[^\n]{{1,400}})", _by_name)
      for word in ("error", "erreur", "fehler", "errore", "erro:", "ошибка", "错误", "錯誤", "エラー", "błąd", "fel:", "fout", "hata", "오류", "помилка", "chyba", "hiba", "virhe", "eroare")),
)  # fmt: skip
