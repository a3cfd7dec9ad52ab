"""Which formal names a given name may be short for. Pure; the English table is the package `nicknames`."""

from collections import defaultdict
from functools import cache, lru_cache

from nicknames import name_triplets

_NO_FORMS: frozenset[str] = frozenset()
_OTHER_LANGUAGES = {
    "alejandro": "ale alex jano",
    "aleksandr": "sasha alex",
    "aleksandra": "sasha ola",
    "anna": "anya anja ania",
    "concepcion": "concha conchita",
    "dmitry": "dima mitya",
    "dolores": "lola lolita",
    "elisabeth": "lisa elli betti lisbeth",
    "eduardo": "edu lalo",
    "ekaterina": "katya",
    "francesca": "franca cesca",
    "francisca": "paca paquita",
    "francisco": "paco pancho fran kiko",
    "friedrich": "fritz",
    "giuseppe": "beppe peppe",
    "guadalupe": "lupe lupita",
    "guillermo": "memo guille",
    "heinrich": "heinz heiner",
    "ignacio": "nacho",
    "ivan": "vanya",
    "jesus": "chucho chuy",
    "johannes": "hans jan hannes",
    "jorge": "jorgito coque",
    "jose": "pepe chepe",
    "josef": "sepp jupp",
    "josefa": "pepa",
    "katarzyna": "kasia",
    "luis": "lucho",
    "magdalena": "magda lena leni",
    "manuel": "manolo manu",
    "margarete": "grete gretel",
    "maria": "mia mascha masha mariechen",
    "mikhail": "misha",
    "mohammed": "mo moh mohd md",
    "muhammad": "mo moh mohd md",
    "nikolai": "kolya",
    "rosario": "charo",
    "tatiana": "tanya",
    "vladimir": "vova volodya",
    "wilhelm": "willi",
    "zofia": "zosia",
}
"""Formal name → short forms, for names the English table lacks."""


@cache
def _formal_names() -> dict[str, frozenset[str]]:
    formal: defaultdict[str, set[str]] = defaultdict(set)
    for name, _, nickname in name_triplets():
        # The table is of uses, in both directions: Bob is listed as called Robert too. A formal name isn't the shorter.
        if len(name) >= len(nickname):
            formal[nickname].add(name)
    for name, nicknames in _OTHER_LANGUAGES.items():
        for nickname in nicknames.split():
            formal[nickname].add(name)
    return {nickname: frozenset(names) for nickname, names in formal.items()}


@lru_cache(maxsize=8192)
def given_forms(given: str) -> tuple[str, ...]:
    """`given` and the formal names it may be short for, sorted after it; nothing for an initial or no name.

    Two names go together when these meet: one is the other's nickname, or both are nicknames of one formal name.
    Two formal names that share a nickname (Albert and Alfred) don't.
    """
    if len(given) < 2:
        return (given,) if given else ()
    return (given, *sorted(_formal_names().get(given, _NO_FORMS) - {given}))
