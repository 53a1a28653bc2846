"""The sentences of an import's report, English and French: id → both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "fr"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "fr")

PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    # The head and the end.
    "head": (
        "{source}: {n:,} machines, {in_use:,} of them in use, for {folder} from {day} on",
        "{source} : {n:,} machines, dont {in_use:,} en service, pour {folder} à partir du {day}",
    ),
    "dry": ("nothing is written yet; --write does it", "rien n'est encore écrit ; --write le fait"),
    "nothing": ("nothing to do: the inventory says so already", "rien à faire : l'inventaire le dit déjà"),
    "written": ("written: {files}", "écrit : {files}"),
    "unchanged": ("unchanged: {n:,}", "inchangées : {n:,}"),
    "more": ("… and {n:,} more", "… et {n:,} autres"),
    "errors": (
        "inventory check would then find {n:,} errors ({before:,} now); the first:",
        "inventory check trouverait ensuite {n:,} erreurs ({before:,} aujourd'hui) ; la première :",
    ),
    "no-errors": ("inventory check would then find no error", "inventory check ne trouverait ensuite aucune erreur"),
    # Kinds of changes.
    "new": ("new: {n:,}", "nouvelles : {n:,}"),
    "back": ("back again: {n:,}", "de retour : {n:,}"),
    "replaced": (
        "exchanged, another machine of the same name: {n:,}",
        "remplacées, une autre machine du même nom : {n:,}",
    ),
    "moved": ("moved: {n:,}", "déplacées : {n:,}"),
    "changed": ("changed: {n:,}", "modifiées : {n:,}"),
    "renamed": ("renamed: {n:,}", "renommées : {n:,}"),
    "stocked": (
        "put in stock, they draw nothing from now on: {n:,}",
        "mises en stock, elles ne consomment plus : {n:,}",
    ),
    "scrapped": ("scrapped: {n:,}", "réformées : {n:,}"),
    "gone": ("gone from GLPI, retired from {day} on: {n:,}", "disparues de GLPI, retirées à partir du {day} : {n:,}"),
    "corrected": ("cells completed or corrected: {n:,}", "cellules complétées ou corrigées : {n:,}"),
    "yours": (
        "otherwise in files of yours, which are not touched: {n:,}",
        "autrement dans vos propres fichiers, qui ne sont pas touchés : {n:,}",
    ),
    # What is added beside machines.
    "added": ("added: {what}", "ajoutés : {what}"),
    "classes": ("in use: {what}", "en service : {what}"),
    "mapping-file": ("the mapping file, --mapping", "le fichier de correspondance, --mapping"),
    "establishments": ("establishments {n:,}", "établissements {n:,}"),
    "sites": ("sites {n:,}", "sites {n:,}"),
    "buildings": ("buildings {n:,}", "bâtiments {n:,}"),
    "rooms": ("rooms {n:,}", "salles {n:,}"),
    "unknown-models": (
        "unknown models: {n:,}, with the watts of their class until you write theirs",
        "modèles inconnus : {n:,}, aux watts de leur classe tant que vous n'écrivez pas les leurs",
    ),
    "near": (
        "names that may be two of one thing: {n:,}. To make them one: [locations.names] or [models] ({mapping})",
        (
            "noms qui désignent peut-être la même chose : {n:,}. Pour n'en faire qu'un : [locations.names] ou [models] "
            "({mapping})"
        ),
    ),
    "near-of": ("{drop!r} and {keep!r}", "{drop!r} et {keep!r}"),
    # Not read, and why.
    "left": ("not read: {n:,}", "non lues : {n:,}"),
    "stock": ("in stock: they draw nothing", "en stock : elles ne consomment rien"),
    "scrap": ("scrapped, and never known here", "réformées, et jamais connues ici"),
    "no-name": ("without a name", "sans nom"),
    "no-class": (
        "of a type that no class is known of: write it in [types] ({mapping})",
        "d'un type dont aucune classe n'est connue : écrivez-la dans [types] ({mapping})",
    ),
    "type-left-out": ("of a type that is left out", "d'un type laissé de côté"),
    "model-left-out": ("of a model that is left out", "d'un modèle laissé de côté"),
    "state-left-out": ("in a state that is left out", "dans un état laissé de côté"),
    "same-number": ("twice with one number of GLPI", "deux fois avec un même identifiant GLPI"),
    "same-serial": (
        "with the serial number of a newer entry: one machine entered twice",
        "au numéro de série d'une fiche plus récente : une machine saisie deux fois",
    ),
    "same-name": (
        "of a name that another has too, without serial or number to tell them apart",
        "d'un nom qu'une autre porte aussi, sans numéro pour les distinguer",
    ),
    # Remarks.
    "remarks": ("remarks", "remarques"),
    "nowhere": (
        "in use without a location, so that they stand in no room: {n:,}",
        "en service sans lieu, donc dans aucune salle : {n:,}",
    ),
    "undated": (
        "in use without a day of purchase, so that the carbon of their making is in no period: {n:,}",
        "en service sans date d'achat, le carbone de leur fabrication n'est donc dans aucune période : {n:,}",
    ),
    "no-serial": (
        "in use without a serial number, known again by GLPI's number or by name: {n:,}",
        "en service sans numéro de série, reconnues par l'identifiant GLPI ou le nom : {n:,}",
    ),
    "stood-in": (
        "the day of first use in the place of a day of purchase: {n:,}",
        "la date de mise en service à la place de la date d'achat : {n:,}",
    ),
    "unread": (
        "{field} that cannot be read, left empty: {n:,} ({examples})",
        "{field} illisible, laissé vide : {n:,} ({examples})",
    ),
    "unknown-state": (
        "unknown state {state!r} ({n:,}), taken as '{taken}': write it in [states] ({mapping})",
        "état inconnu {state!r} ({n:,}), pris pour '{taken}' : écrivez-le dans [states] ({mapping})",
    ),
    "other-class": (
        "{model!r} is taken as {ours}; in GLPI its type is that of a {theirs}: {n:,}",
        "{model!r} est pris pour {ours} ; dans GLPI, son type est celui d'un {theirs} : {n:,}",
    ),
    "several": (
        "site {site!r} has machines of several establishments ({owners}): it is written as the first one's",
        "le site {site!r} a des machines de plusieurs établissements ({owners}) : il est écrit au premier",
    ),
    "no-columns": (
        "no column of it tells: {fields}",
        "aucune colonne n'y indique : {fields}",
    ),
    "torn": (
        (
            "{n:,} lines have more cells than headings, not read (lines {lines}): cells with {delimiter!r} stand "
            "in quotes"
        ),
        (
            "{n:,} lignes ont plus de cellules que d'en-têtes et ne sont pas lues (lignes {lines}) : les cellules avec "
            "{delimiter!r} se mettent entre guillemets"
        ),
    ),
    "csv-broken": (
        "not read from line {line} on: {detail}: close the quotes of the cell before it",
        "non lu à partir de la ligne {line} : {detail} : fermez les guillemets de la cellule précédente",
    ),
    "encoding": (
        "line {line} is neither UTF-8 nor Windows-1252 text: save it again as 'CSV UTF-8'",
        "la ligne {line} n'est ni de l'UTF-8 ni du Windows-1252 : enregistrez à nouveau en « CSV UTF-8 »",
    ),
    "no-purchases": (
        (
            "GLPI keeps purchases and prices of {items} to itself: give the account the right to read financial and "
            "administrative information"
        ),
        (
            "GLPI garde pour lui les achats et les prix ({items}) : donnez au compte le droit de lire les informations "
            "financières et administratives"
        ),
    ),
    "short-locations": (
        (
            "GLPI keeps the list of locations to itself: only their last level is known; give the account the right to "
            "read dropdowns"
        ),
        (
            "GLPI garde pour lui la liste des lieux : seul leur dernier niveau est connu ; donnez au compte le droit "
            "de lire les intitulés"
        ),
    ),
    # What stops --write.
    "too-many-gone": (
        (
            "{gone:,} of {known:,} known machines would be gone, more than {limit:g} %: is the export whole? If it is: "
            "--gone-limit {needed}"
        ),
        (
            "{gone:,} des {known:,} machines connues auraient disparu, plus de {limit:g} % : l'export est-il complet ? "
            "Si oui : --gone-limit {needed}"
        ),
    ),
    "not-whole": (
        "the export could not be read whole, see the remarks: what is missing would count as gone",
        "l'export n'a pas pu être lu en entier, voir les remarques : ce qui manque passerait pour disparu",
    ),
    "later": (
        "{n:,} lines of the import begin after {day}: import with a later --day",
        "{n:,} lignes de l'import commencent après le {day} : importez avec un --day plus tardif",
    ),
    "broken": (
        "{what}: mend it first, the import would lose it",
        "{what} : corrigez d'abord, l'import le perdrait",
    ),
    # Fields and columns.
    "name": ("name", "nom"),
    "serial": ("serial number", "numéro de série"),
    "entity": ("entity", "entité"),
    "location": ("location", "lieu"),
    "state": ("state", "statut"),
    "type": ("type", "type"),
    "model": ("model", "modèle"),
    "class": ("class", "classe"),
    "room": ("room", "salle"),
    "bought": ("day of purchase", "date d'achat"),
    "used": ("day of first use", "date de mise en service"),
    "scrapped-on": ("day of decommission", "date de réforme"),
    "purchased": ("day of purchase", "date d'achat"),
    "price": ("price", "prix"),
    "asset": ("GLPI's number", "identifiant GLPI"),
    "future": ("day of purchase still to come", "date d'achat à venir"),
}


def say(what: str, language: Language, /, **fields: object) -> str:
    """Return a sentence in a language; French groups digits by spaces.

    >>> say("unchanged", "fr", n=1234)
    'inchangées : 1 234'
    """
    phrase = PHRASES[what][LANGUAGES.index(language)]
    if language == "en":
        return phrase.format_map(fields)
    grouped = {name: _French(value) if isinstance(value, int) else value for name, value in fields.items()}
    return phrase.format_map(grouped)


def count(n: int, language: Language) -> str:
    """Return a number with its digits grouped as the language does."""
    return f"{n if language == 'en' else _French(n):,}"


class _French(int):
    """A number that is written as in French."""

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec).replace(",", " ")
