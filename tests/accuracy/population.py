"""A generated population with the households, twins and mistakes that make identity hard; every record is labelled.

Nobody in it exists. The properties: about 1.5 records a person; 3 % of births are twins; a father and son may have one
name; 45 % share the household's phone; half of the records have no national identifier; 15 % have moved; some have
married; newborns are BABY BOY for 30 % of their records; birth dates may be defaults, swapped, mistyped.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from tests.accuracy import names

TODAY = date(2026, 11, 24)
SSN = "http://hl7.org/fhir/sid/us-ssn"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RECORDS = ((1, 0.665), (2, 0.23), (3, 0.08), (4, 0.02), (5, 0.005))


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a household lives, and its shared phone."""

    line: str
    unit: str
    city: str
    postcode: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Being:
    """A generated person, as they are in truth."""

    number: int
    given: str
    middle: str
    family: str
    maiden: str
    suffix: str
    sex: str
    born: date
    twin: int
    ssn: str
    relative_ssn: str
    phone: str
    email: str
    home: Home
    mother: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A source record (FHIR Patient) and whose it is."""

    person: int
    patient: dict[str, Any]


class Population:
    """Everything random about one population comes from its seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._numbers = 0

    def records(self, most: int) -> list[Labelled]:
        """`most` labelled records, in random order."""
        made: list[Labelled] = []
        while len(made) < most:
            for being in self._household():
                made.extend(Labelled(person=being.number, patient=patient) for patient in self._patients(being))
        made = made[:most]
        self.random.shuffle(made)
        return made

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _pick(self, weighted: names.Weighted) -> str:
        return self.random.choices(weighted[0], cum_weights=weighted[1])[0]

    def _household(self) -> list[Being]:
        home, family = self._home(), self._pick(names.family_names())
        parent_born = self._day(1935, 2003)
        adults = [self._being(home, family, "male" if self._chance(0.5) else "female", parent_born)]
        if self._chance(0.55):
            other = "female" if adults[0].sex == "male" else "male"
            spouse = self._being(home, family, other, parent_born + timedelta(self.random.randint(-3000, 3000)))
            adults.append(replace(spouse, relative_ssn=adults[0].ssn))
        mother = next((one.given for one in adults if one.sex == "female"), "")
        children: list[Being] = []
        many, shares = ((0, 1, 2, 3, 4), (40, 22, 24, 10, 4)) if len(adults) > 1 else ((0, 1, 2), (75, 17, 8))
        for _ in range(self.random.choices(many, shares)[0]):
            children.extend(self._birth(home, family, adults, mother))
        return adults + children

    def _birth(self, home: Home, family: str, adults: Sequence[Being], mother: str) -> Iterator[Being]:
        youngest = max(adults[0].born, adults[-1].born)
        born = youngest + timedelta(self.random.randint(19 * 365, 42 * 365))
        if born > TODAY - timedelta(2):
            born = TODAY - timedelta(self.random.randint(2, 7000 if self._chance(0.8) else 360))
        twins = self._chance(0.015)
        sex, first = "male" if self._chance(0.5) else "female", ""
        for place in range(1 + twins):
            if place and self._chance(0.5):
                sex = "male" if self._chance(0.5) else "female"
            child = self._being(home, family, sex, born)
            if place and self._chance(0.25):
                child = replace(child, given=self._alike(first, sex))
            first = child.given
            father = next((one for one in adults if one.sex == "male"), None)
            named_for = father if sex == "male" and place == 0 and father and self._chance(0.06) else None
            yield replace(
                child,
                given=named_for.given if named_for else child.given,
                suffix="Jr" if named_for else "",
                maiden=family,
                twin=place + 1 if twins else 0,
                relative_ssn=adults[0].ssn,
                phone=home.phone if born.year > 2012 else child.phone,
                email=adults[0].email if born.year > 2012 else child.email,
                mother=mother,
            )

    def _alike(self, given: str, sex: str) -> str:
        # Parents of twins like names that sound alike, and those are what a score takes for a typing mistake.
        alike = [one for one in names.given_names(sex)[0] if one[:3] == given[:3] and one != given]
        return self.random.choice(alike) if alike else given[:-1] + self.random.choice("aeiny")

    def _being(self, home: Home, family: str, sex: str, born: date) -> Being:
        self._numbers += 1
        given = self._pick(names.given_names(sex))
        return Being(
            number=self._numbers,
            given=given,
            middle=self._pick(names.given_names(sex)) if self._chance(0.75) else "",
            family=family,
            maiden=self._pick(names.family_names()) if sex == "female" else family,
            suffix="",
            sex=sex,
            born=born,
            twin=0,
            ssn=f"{self.random.randint(1, 665):03d}{self.random.randint(1, 99):02d}{self.random.randint(1, 9999):04d}",
            relative_ssn="",
            phone=home.phone if self._chance(0.45) else self._phone(),
            email=f"{given}.{family}{self.random.randint(1, 999)}@mail.example" if self._chance(0.45) else "",
            home=home,
            mother="",
        )

    def _home(self) -> Home:
        place = self.random.randrange(len(names.cities()))
        return Home(
            line=f"{int(self.random.random() ** 2 * 1500) + 1} {self.random.choice(names.streets())}",
            unit=f"Apt {self.random.randint(1, 60)}" if self._chance(0.2) else "",
            city=names.cities()[place],
            postcode=f"{10000 + place * 37 + self.random.randint(0, 3)}",
            phone=self._phone(),
        )

    def _phone(self) -> str:
        area = f"{self.random.randint(2, 9)}{self.random.randint(0, 99):02d}"
        return f"{area}{self.random.randint(2, 9)}{self.random.randint(0, 999999):06d}"

    def _day(self, first: int, last: int) -> date:
        return date(first, 1, 1) + timedelta(self.random.randint(0, (last - first) * 365))

    def _patients(self, being: Being) -> Iterator[dict[str, Any]]:
        many = self.random.choices([one for one, _ in _RECORDS], [share for _, share in _RECORDS])[0]
        moved = self._home() if self._chance(0.15) else being.home
        number = self._phone() if self._chance(0.15) else being.phone
        married = being.sex == "female" and TODAY.year - being.born.year > 20 and self._chance(0.12)
        for place in range(many):
            later = place > 0
            state = replace(
                being,
                home=moved if later else being.home,
                phone=number if later else being.phone,
                family=being.maiden if married and not later else being.family,
            )
            yield self._patient(state, previous=being.maiden if married and later and self._chance(0.3) else "")

    def _patient(self, being: Being, previous: str) -> dict[str, Any]:
        name = self._name(being)
        past = [{"use": "maiden", "family": previous}] if previous else []
        patient: dict[str, Any] = {
            "resourceType": "Patient",
            "name": [name, *past],
            "telecom": list(self._telecom(being)),
            "identifier": list(self._identifiers(being)),
        }
        if born := self._birth_date(being.born):
            patient["birthDate"] = born
        if self._chance(0.98):
            patient["gender"] = being.sex if self._chance(0.995) else "male" if being.sex == "female" else "female"
        if self._chance(0.96):
            patient["address"] = [self._address(being.home)]
        if being.twin and self._chance(0.4):
            patient["multipleBirthInteger"] = being.twin
        return patient

    def _name(self, being: Being) -> dict[str, Any]:
        family, given = being.family, being.given
        newborn = (TODAY - being.born).days < 365
        if newborn and self._chance(0.3):
            child = "BOY" if being.sex == "male" else "GIRL"
            order = f" {'AB'[being.twin - 1]}" if being.twin else ""
            placeholder = (
                f"{being.mother} {child}{order}" if being.mother and self._chance(0.3) else f"BABY {child}{order}"
            )
            return {"use": "official", "family": family, "given": [placeholder]}
        middle = being.middle if self._chance(0.3) else being.middle[:1] if self._chance(0.55) else ""
        given, middle, family = self._mistaken(being, given, middle, family)
        if self._chance(0.1):
            family, given, middle = family.upper(), given.upper(), middle.upper()
        if self._chance(0.05):
            return {"text": f"{family}, {given} {middle}".strip()} if given else {"family": family}
        name: dict[str, Any] = {"use": "official", "family": family, "given": [one for one in (given, middle) if one]}
        if being.suffix and self._chance(0.5):
            name["suffix"] = [being.suffix]
        return name

    def _mistaken(self, being: Being, given: str, middle: str, family: str) -> tuple[str, str, str]:
        kind = self.random.random()
        nicknames = names.nicknames_of().get(given.lower())
        if kind < 0.06 and nicknames:
            given = self.random.choice(nicknames)
        elif kind < 0.075 and being.middle:
            given, middle = being.middle, given
        elif kind < 0.09:
            given = given[:1]
        elif kind < 0.096:
            given, middle = "", ""
        elif kind < 0.126:
            given = self._typo(given)
        elif kind < 0.131:
            given, family = family, given
        if self._chance(0.025):
            family = self._typo(family)
        elif being.family != being.maiden and self._chance(0.04):
            family = f"{being.maiden}-{family}"
        return given, middle, family

    def _birth_date(self, born: date) -> str:
        kind = self.random.random()
        if kind < 0.005:
            return ""
        if kind < 0.01:
            return "1900-01-01"
        if kind < 0.02:
            return f"{born.year}-01-01"
        if kind < 0.027 and born.day <= 12:
            return f"{born.year}-{born.day:02d}-{born.month:02d}"
        if kind < 0.037:
            return (born + timedelta(self.random.choice((-1, 1, 10, -10)))).isoformat()
        if kind < 0.042:
            return f"{born.year + self.random.choice((-1, 1, 10, -10))}-{born.month:02d}-{min(born.day, 28):02d}"
        if kind < 0.045:
            return f"{born.year}-{born.month:02d}"
        return born.isoformat()

    def _telecom(self, being: Being) -> Iterator[dict[str, str]]:
        if self._chance(0.8):
            digits = being.phone if self._chance(0.985) else self.random.choice(("0000000000", self._phone()))
            written = f"({digits[:3]}) {digits[3:6]}-{digits[6:]}" if self._chance(0.7) else f"+1{digits}"
            yield {"system": "phone", "value": written}
        if being.email and self._chance(0.6):
            yield {"system": "email", "value": being.email}

    def _identifiers(self, being: Being) -> Iterator[dict[str, str]]:
        if self._chance(0.5):
            value = being.ssn
            kind = self.random.random()
            if kind < 0.01:
                value = self._digit_typo(value)
            elif kind < 0.015 and being.relative_ssn:
                value = being.relative_ssn
            elif kind < 0.025:
                value = self.random.choice(("999999999", "000000000", "123456789"))
            yield {"system": SSN, "value": f"{value[:3]}-{value[3:5]}-{value[5:]}"}

    def _address(self, home: Home) -> dict[str, Any]:
        line = home.line
        if self._chance(0.3):
            line = line.replace("Street", "St").replace("Avenue", "Ave").replace("Road", "Rd").replace("Drive", "Dr")
        if self._chance(0.05):
            number, _, street = line.partition(" ")
            line = f"{number} {self._typo(street)}"
        lines = [line, home.unit] if home.unit and self._chance(0.6) else [line]
        postcode = home.postcode if self._chance(0.985) else self._digit_typo(home.postcode)
        return {
            "line": lines,
            "city": home.city if self._chance(0.98) else self._typo(home.city),
            "postalCode": postcode,
        }

    def _typo(self, word: str) -> str:
        place = self.random.randrange(max(len(word), 1))
        letter = self.random.choice(_LETTERS)
        kind = self.random.randrange(4)
        if kind == 0:
            return word[:place] + letter + word[place + 1 :]
        if kind == 1 and len(word) > 3:
            return word[:place] + word[place + 1 :]
        if kind == 2:
            return word[:place] + letter + word[place:]
        return word[: max(place - 1, 0)] + word[place : place + 1] + word[max(place - 1, 0) : place] + word[place + 1 :]

    def _digit_typo(self, digits: str) -> str:
        place = self.random.randrange(len(digits))
        return digits[:place] + str((int(digits[place]) + self.random.randint(1, 9)) % 10) + digits[place + 1 :]
