"""Names and places that generated people have: common ones weighted as in life, and a long tail that is composed."""

import random
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from nicknames import name_triplets


def _each(text: str) -> Sequence[str]:
    return text.split()


_FEMALE = _each(
    "Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Sandra Betty Ashley Emily "
    "Kimberly Margaret Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia Dorothy Amy "
    "Kathleen Angela Shirley Emma Brenda Pamela Nicole Anna Samantha Katherine Christine Debra Rachel Carolyn Janet "
    "Maria Olivia Heather Helen Catherine Diane Julie Victoria Joyce Lauren Kelly Christina Ruth Joan Virginia Judith "
    "Evelyn Hannah Andrea Megan Cheryl Jacqueline Madison Teresa Abigail Sophia Martha Sara Gloria Janice Kathryn Ann "
    "Isabella Judy Charlotte Julia Grace Amber Alice Jean Denise Frances Danielle Marilyn Natalie Beverly Diana "
    "Brittany Theresa Kayla Alexis Doris Lori Tiffany Fatima Aisha Mei Priya Guadalupe Rosa Carmen Ana Lucía Sofía "
    "Zoë Renée Chloé Björk Ingrid Olga Svetlana Yuki Soo-Jin Anna-Maria Mary-Ann Maya Layla Nadia Leila"
)
_MALE = _each(
    "James Robert John Michael David William Richard Joseph Thomas Christopher Charles Daniel Matthew Anthony Mark "
    "Donald Steven Andrew Paul Joshua Kenneth Kevin Brian Timothy Ronald George Jason Edward Jeffrey Ryan Jacob "
    "Nicholas Gary Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Patrick Frank "
    "Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Zachary Douglas Peter Kyle Noah Ethan Jeremy "
    "Christian Walter Keith Austin Roger Terry Sean Gerald Carl Dylan Harold Jordan Jesse Bryan Lawrence Arthur "
    "Gabriel Bruce Logan Billy Joe Alan Juan Elijah Willie Albert Wayne Randy Mason Vincent Liam Roy Bobby Caleb "
    "Bradley Russell Lucas Mohammed Ahmed Ali Omar Wei Raj Arjun Luis Carlos Jesús Ángel Manuel José Jürgen Søren "
    "Łukasz Ivan Sergei Hiroshi Min-Jun Jean-Luc Jamal Tyrone Diego Mateo Santiago Oscar Hugo Felix"
)
_FAMILY = _each(
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson "
    "Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson "
    "Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell "
    "Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales "
    "Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson "
    "Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long "
    "Ross Foster Jimenez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Fisher Vasquez "
    "Simmons Graham Murray Ford Castro Marshall Owens Harrison Fernandez McDonald Woods Washington Kennedy Wells "
    "Vargas Henry Chen Freeman Webb Tucker Guzman Burns Crawford Olson Simpson Porter Hunter Gordon Mendez Silva Shaw "
    "Snyder Mason Dixon Muñoz Hunt Hicks Holmes Palmer Wagner Black Robertson Boyd Stone Salazar Fox Warren Mills "
    "Meyer Rice Schmidt O'Brien O'Connor Müller Núñez Peña García-Ruiz Singh Khan Ahmed Wang Li Zhang Tran Pham Cohen "
    "Kowalski Nowak Ivanova Petrov Hansen Larsen Bergström Rossi Ferrari Dubois Lefèvre Tanaka Suzuki"
)
_HEADS = _each(
    "Ash Black Brad Brook Burn Chester Clay Cole Dal Dar Elm Ever Fair Fen Gar Gold Green Hal Hart Haver Hazel Hol "
    "Kings Lang Law Len Lind Lock Mars Mel Nor Oak Pem Rad Red Rush Sel Shel Stan Stock Sutter Thorn Wake Wal War "
    "Wet Whit Wind Winter Wood"
)
_TAILS = _each(
    "berg bury by combe croft dale den field ford gate ham hurst ingham land ley low man mere more ridge rick sen "
    "shaw son stead stein ston ton wald water well wick win wood worth"
)
_KINDS = _each("Street Avenue Road Drive Lane Court Place Boulevard Way Terrace")
Weighted = tuple[Sequence[str], Sequence[float]]


def _falling(common: Sequence[str], tail: Sequence[str], flat: float) -> Weighted:
    # Zipf-Mandelbrot: the commonest name isn't too common, and rare names together are many.
    weights = [1 / (place + flat) for place in range(1, len(common) + len(tail) + 1)]
    return [*common, *tail], list(accumulate(weights))


@cache
def given_names(sex: str) -> Weighted:
    """Given names with cumulated weights."""
    common = _FEMALE if sex == "female" else _MALE
    known = {name.lower() for name in (*_FEMALE, *_MALE)}
    tail = sorted({name for name, _, _ in name_triplets() if name not in known and len(name) > 2})
    return _falling(common, [name.title() for name in tail[sex == "male" :: 2]], 8)


@cache
def family_names() -> Weighted:
    """Family names with cumulated weights."""
    tail = [head + end for head in _HEADS for end in _TAILS]
    random.Random(1).shuffle(tail)
    return _falling(_FAMILY, tail, 25)


@cache
def streets() -> Sequence[str]:
    """Street names."""
    return [f"{head}{end} {kind}" for head in _HEADS for end in _TAILS[::3] for kind in _KINDS]


@cache
def cities() -> Sequence[str]:
    """City names; the place in the list makes the postcode."""
    towns = [head + end for head in _HEADS[::2] for end in _TAILS[1::4]]
    random.Random(2).shuffle(towns)
    return towns


@cache
def nicknames_of() -> dict[str, list[str]]:
    """Name in lower case → the nicknames people call it by."""
    found: dict[str, list[str]] = {}
    for name, _, nickname in name_triplets():
        found.setdefault(name, []).append(nickname.title())
    return found
