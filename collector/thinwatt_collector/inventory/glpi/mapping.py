"""The mapping file: what GLPI's words mean here. :data:`KEYS` is the only place that knows a key of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from thinwatt_agent.places import File, Key, Place, choice, filled, read, shown, text, told
from thinwatt_collector.inventory.files import plain
from thinwatt_collector.inventory.glpi import access
from thinwatt_collector.inventory.glpi.access import Access
from thinwatt_collector.inventory.glpi.assets import FIELDS, tidy
from thinwatt_collector.models.devices import CLASSES

State = Literal["use", "stock", "scrapped", "leave_out"]
STATES: Final = ("use", "stock", "scrapped", "leave_out")
LEAVE_OUT: Final = "leave_out"
LEVELS: Final = ("site", "building", "room", "-")
Parts = tuple[str, ...]
"""A location or entity, from the outside in."""
Names = Mapping[str, str]
"""GLPI's text, folded (:func:`folded`) → ours."""


def folded(name: str) -> str:
    """Return a text as two are compared: without capitals, accents and doubled spaces."""
    return plain(name)


def _known(**words: str) -> dict[str, str]:
    return {folded(word): of for of, line in words.items() for word in line.split(",")}


USUAL_STATES: Final[dict[str, str]] = _known(
    use="en service,en production,production,utilisé,en fonction,actif,affecté,installé,in use,active,deployed",
    stock="stock,en stock,stocké,réserve,en réserve,disponible,spare,in stock,available,storage,en attente,à déployer",
    scrapped="réformé,rebut,au rebut,mis au rebut,hors service,hs,hors parc,sorti,sorti du parc,recyclé,détruit,deee,"
    "volé,perdu,donné,cédé,vendu,scrapped,scrap,retired,disposed,decommissioned,stolen,lost,donated,sold,recycled",
)
"""States whose meaning needs no mapping file, French and English."""
USUAL_TYPES: Final[dict[str, str]] = _known(
    desktop="desktop,ordinateur,ordinateur de bureau,pc,pc fixe,fixe,poste fixe,unité centrale,tour,mini tour,tower,"
    "mini tower,minitower,low profile desktop,space saving,all in one,tout en un,mini pc,workstation,"
    "station de travail,pizza box,lunch box,sff,usff",
    laptop="laptop,notebook,portable,pc portable,ordinateur portable,ultraportable,sub notebook,convertible,detachable",
    thin_client="thin client,client léger,clients légers,terminal léger,zero client,terminal",
    monitor="monitor,moniteur,écran,display",
    leave_out="vmware,virtualbox,virtual machine,machine virtuelle,vm,kvm,qemu,hyper v,xen,tablet,tablette,smartphone",
)
"""Types of computers: what inventory agents write from the chassis, and what French sites write by hand. A server is
not among them: it is a host only where it carries desktops."""


@dataclass(frozen=True, slots=True)
class Meanings:
    """What a mapping file says.

    Attributes:
        file: what it is called in errors and reports.
        columns: field → heading of the export.
        month_first: whether the export's dates are MM-DD-YYYY.
        name: which field is the name of a device here: ``name`` or ``inventory_number``.
        separator: between the levels of GLPI's paths.
        levels: what each level of a location is.
        unnamed: the room or building where a location tells none.
        locations, entities: beginnings of paths, part by part and folded → what stands in their place: parts of a
            location, an establishment.
        level: of an entity's path that is the establishment, from 1.
        establishment: of machines whose entity is not told.
        states, types, models: by GLPI's text, folded; ``leave_out`` for what is not to be read.
        classes: of GLPI's models, where the file tells one.
    """

    file: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    month_first: bool = False
    name: str = "name"
    separator: str = ">"
    levels: tuple[str, ...] = ("site", "building", "room")
    unnamed: str = "unnamed"
    locations: Mapping[Parts, Parts] = field(default_factory=dict)
    level: int = 2
    establishment: str = "unnamed"
    entities: Mapping[Parts, str] = field(default_factory=dict)
    unknown_state: State = "use"
    states: Names = field(default_factory=lambda: USUAL_STATES)
    types: Names = field(default_factory=lambda: USUAL_TYPES)
    models: Names = field(default_factory=dict)
    classes: Names = field(default_factory=dict)
    access: Access | None = None


def parts(written: str, separator: str) -> Parts:
    """Return the parts of a path of GLPI.

    >>> parts("Nord > Bât. B >  B305", " > ")
    ('Nord', 'Bât. B', 'B305')
    """
    return tuple(part for each in written.split(separator.strip() or separator) if (part := each.strip()))


def within(path: Parts, known: Mapping[Parts, Any]) -> tuple[Any, Parts]:
    """Return what the longest known beginning of a path stands for, and the rest; None and all of it for none."""
    bare = tuple(map(folded, path))
    for n in range(len(bare), 0, -1) if known else ():
        if bare[:n] in known:
            return known[bare[:n]], path[n:]
    return None, path


def _levels(value: Any, folder: Path) -> Parts:
    found = parts(filled(value, folder), ">")
    named = [level for level in found if level != "-"]
    if wrong := [level for level in found if level not in LEVELS]:
        raise ValueError(f"{shown(wrong[0])} is none of site, building, room and - (not read)")
    if len(set(named)) < len(named) or named[:1] != ["site"]:
        raise ValueError(
            f"{shown(value)}: each of site, building, room once, site first: write 'site > building > room'"
        )
    return found


def _columns_key(name: str) -> Key:
    return Key("columns", name, name, text, "", f"heading of the column; empty: {NAMED[name]}")


NAMED: Final = {
    "name": "'Nom' or 'Name'",
    "number": "'ID'",
    "serial": "'Numéro de série' or 'Serial number'",
    "inventory_number": "'Numéro d'inventaire' or 'Inventory number'",
    "entity": "'Entité' or 'Entity'",
    "location": "'Lieu' or 'Location'",
    "state": "'Statut' or 'Status'",
    "type": "'Type'",
    "model": "'Modèle' or 'Model'",
    "maker": "'Fabricant' or 'Manufacturer'",
    "bought": "'… - Date d'achat' or '… - Date of purchase'",
    "used": "'… - Date de mise en service' or '… - Startup date'; it stands in for a day of purchase",
    "scrapped": "'… - Date de réforme' or '… - Decommission date'",
    "price": "'… - Valeur' or '… - Value'",
}
KEYS: Final = (
    *map(_columns_key, FIELDS),
    Key("export", "dates", "month_first", choice("day-first", "month-first"), "day-first",
        "31-01-2025, or month-first: 01-31-2025; 2025-01-31 is understood always"),
    Key("devices", "name", "name", choice("name", "inventory_number"), "name",
        "what a device is called here; the inventory number where computers are named after people"),
    Key("devices", "unknown_state", "unknown_state", choice(*STATES), "use", "a state that [states] does not tell"),
    Key("locations", "separator", "separator", filled, " > ", "between the levels of a location and of an entity"),
    Key("locations", "levels", "levels", _levels, "site > building > room",
        "what each level is, - for one to leave out; what is deeper belongs to the room's name"),
    Key("locations", "unnamed", "unnamed", filled, "unnamed", "room or building where a location tells none"),
    Key("entities", "level", "level", access.whole(1, 20), 2,
        "of an entity, the level that is the establishment: 2 is below the root; a shorter one is it itself"),
    Key("entities", "default", "establishment", filled, "unnamed", "establishment of machines without an entity"),
    *access.KEYS,
)  # fmt: skip
FREE: Final[Mapping[str, tuple[str, str, str]]] = {
    "locations.names": ("locations that are called otherwise here, or are two names of one; beginnings count",
                        '"Campus Nord > Bat B"', '"Nord > Bât. B"'),
    "entities.names": ("entities and their establishment; all below them belong to it",
                       '"Entité racine > Université"', '"Université"'),
    "states": ("use, stock (draws nothing), scrapped or leave_out; French and English usual words are known",
               '"En prêt"', '"use"'),
    "types": (f"{', '.join(CLASSES)} or leave_out; usual words are known, a server is a host by this only",
              '"Serveur VDI"', '"host"'),
    "models": ("models that are called otherwise here, leave_out, or class and name of one",
               '"OPTIPLEX 3070 MFF"', '{ model = "OptiPlex 3070", class = "desktop" }'),
}  # fmt: skip
"""Tables whose keys are GLPI's own words: what they tell, and an example."""
TABLES: Final = ("columns", "export", "devices", "locations", "entities", "states", "types", "models", "api")


def example() -> str:
    """Return a mapping file with every key, its default and what it means."""
    lines = [
        "# What GLPI says, and what it means here. Every key with its default; all of them may be left out.",
        "# Keep this file outside the inventory's folder. Capitals and accents make no difference in GLPI's words.",
    ]
    for table in TABLES:
        keys = [(k.name, k.default, k.help) for k in KEYS if k.table == table]
        if keys:
            lines += ["", f"[{table}]", *told(keys)]
        for name, (help_, key, value) in FREE.items():
            if name.split(".")[0] == table:
                lines += ["", f"[{name}]", f"# {help_}", f"# {key} = {value}"]
    return "\n".join(lines) + "\n"


def load(path: Path) -> Meanings:
    """Return what a mapping file says.

    Raises:
        ConfigError: it cannot be read, or keys or values in it are wrong; it names all of them.
    """
    return parse(read(path, f"thinwatt-collector inventory glpi --mapping-example > {path}"), path)


def parse(document: str, path: Path) -> Meanings:
    """Return what the text of a mapping file says; paths in it are relative to its folder."""
    file = File(document, path)
    file.names(TABLES, lambda: ((f"[{key.table}]", key.name) for key in KEYS))
    found: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        content = dict(file.mapping(file.document.get(table, {}), (table,)))
        if table in FREE:
            continue
        if f"{table}.names" in FREE:
            content.pop("names", None)
        if table == "api":
            _no_secrets(file, content)
        found[table] = file.table(content, [key for key in KEYS if key.table == table], (table,))
    free = {name: _free(file, tuple(name.split("."))) for name in FREE}
    states = _choices(file, "states", free["states"], STATES)
    types = _choices(file, "types", free["types"], (*CLASSES, LEAVE_OUT))
    models, classes = _models(file, free["models"])
    locations, entities = (
        _texts(file, f"{table}.names", free[f"{table}.names"]) for table in ("locations", "entities")
    )
    file.done()
    separator = found["locations"]["separator"]
    return Meanings(
        file=str(path),
        columns={name: heading for name, heading in found["columns"].items() if heading},
        month_first=found["export"]["month_first"] == "month-first",
        **found["devices"],
        **found["locations"],
        **found["entities"],
        locations={_folded(key, separator): parts(value, separator) for key, value in locations.items()},
        entities={_folded(key, separator): value for key, value in entities.items()},
        states=USUAL_STATES | states,
        types=USUAL_TYPES | types,
        models=models,
        classes=classes,
        access=Access(**found["api"]) if "api" in file.document else None,
    )


def _folded(key: str, separator: str) -> Parts:
    return tuple(map(folded, parts(key, separator)))


def _no_secrets(file: File, content: dict[str, Any]) -> None:
    """Note secrets that stand in the file itself, and take them out of sight."""
    for name in access.SECRETS:
        if content.pop(name, None) is not None:
            file.wrong(("api", name), f"a secret does not stand here: {access.missing(name)}")


def _free(file: File, at: Place) -> Mapping[str, Any]:
    content: Any = file.document
    for part in at:
        content = content.get(part, {}) if isinstance(content, dict) else {}
    return file.mapping(content, at) if content or not isinstance(content, dict) else {}


def _choices(file: File, table: str, content: Mapping[str, Any], allowed: Iterable[str]) -> dict[str, str]:
    reader = choice(*allowed)
    return {folded(key): value for key, value in _each(file, (table,), content, reader)}


def _texts(file: File, table: str, content: Mapping[str, Any]) -> dict[str, str]:
    return dict(_each(file, tuple(table.split(".")), content, filled))


def _each(file: File, at: Place, content: Mapping[str, Any], reader: Any) -> Iterable[tuple[str, str]]:
    for key, value in content.items():
        try:
            if not folded(key):
                raise ValueError("it names nothing: write GLPI's own word in quotes")
            yield tidy(key), str(reader(value, Path()))
        except ValueError as error:
            file.wrong((*at, key), str(error))


def _models(file: File, content: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    names: dict[str, str] = {}
    classes: dict[str, str] = {}
    for key, value in content.items():
        table = {"model": value} if isinstance(value, str) else file.mapping(value, ("models", key))
        file.keys(table, ("model", "class"), ("models", key))
        for name, reader, into in (("model", filled, names), ("class", choice(*CLASSES), classes)):
            if name in table:
                into |= {folded(k): v for k, v in _each(file, ("models",), {key: table[name]}, reader)}
    return names, classes
