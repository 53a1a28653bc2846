"""What our inventory should say of each asset: its name, class, model and place; or why nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Final, Literal

from thinwatt_collector.inventory.glpi.assets import Asset, plain_serial
from thinwatt_collector.inventory.glpi.mapping import LEAVE_OUT, Meanings, folded
from thinwatt_collector.inventory.glpi.places import Place, establishment_of, place_of
from thinwatt_collector.inventory.tables import Inventory
from thinwatt_collector.models.devices import CLASSES, model_of

Reason = Literal[
    "no-name",
    "no-class",
    "type-left-out",
    "model-left-out",
    "state-left-out",
    "same-number",
    "same-serial",
    "same-name",
]
FOUND_BY: Final = ("number", "serial", "name")
"""How an asset is known again, the surest first."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What should stand in the inventory for an asset.

    Attributes:
        name: before it is made different from another of that name.
        state: ``use``, ``stock`` or ``scrapped``; of what is not in use, nothing else is worked out.
        kind: its class.
        model: its model's name here, "" for none.
        bought: day of purchase, or the day it was put to use (``stood_in``).
    """

    asset: Asset
    name: str
    state: str = "use"
    kind: str = ""
    model: str = ""
    place: Place | None = None
    establishment: str = ""
    bought: date | None = None
    stood_in: bool = False

    @property
    def keys(self) -> tuple[str, str, str]:
        """Return number, serial and name as they are compared, as in :data:`FOUND_BY`."""
        return self.asset.number, plain_serial(self.asset.serial), self.name

    @property
    def table(self) -> str:
        """Return where it stands in the inventory."""
        return "hosts" if self.kind == "host" else "devices"


@dataclass(frozen=True, slots=True)
class Left:
    """An asset that is not read, and why: ``detail`` is what GLPI says that stands in the way."""

    asset: Asset
    reason: Reason
    name: str = ""
    detail: str = ""


@dataclass(slots=True)
class Wishes:
    """All that GLPI wishes.

    Attributes:
        unknown_models: model's name here → class and number of machines, of models that the inventory has not.
        unknown_states: GLPI's word → number of machines.
        other_class: model → its class here, class of its type in GLPI, number of machines.
    """

    wished: list[Wish] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    unknown_models: dict[str, tuple[str, int]] = field(default_factory=dict)
    unknown_states: Counter[str] = field(default_factory=Counter)
    other_class: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def wishes(assets: Sequence[Asset], meanings: Meanings, inventory: Inventory, day: date) -> Wishes:
    """Return what the inventory should say of assets on a day."""
    found = Wishes()
    ours = {folded(record.name): (record.name, record.text("class")) for record in inventory.records("models")}
    models = _models(assets, meanings, ours)
    for asset in _once(assets, found):
        name = asset.inventory_number or asset.name if meanings.name == "inventory_number" else asset.name
        known = meanings.states.get(folded(asset.state), "")
        if asset.state and not known:
            found.unknown_states[asset.state] += 1
        state = (known or meanings.unknown_state) if asset.state else "use"
        if not name:
            found.left.append(Left(asset, "no-name"))
        elif state == LEAVE_OUT:
            found.left.append(Left(asset, "state-left-out", name, asset.state))
        elif state != "use":
            found.wished.append(Wish(asset, name, state))
        else:
            _in_use(asset, name, meanings, models, day, found)
    _count_models(found, ours)
    return found


def _in_use(
    asset: Asset, name: str, meanings: Meanings, models: Mapping[str, tuple[str, str]], day: date, into: Wishes
) -> None:
    of_type = _type(asset, meanings)
    model, kind = models.get(folded(asset.model), ("", "")) if asset.model else ("", "")
    if of_type == LEAVE_OUT:
        into.left.append(Left(asset, "type-left-out", name, asset.type))
    elif model == LEAVE_OUT:
        into.left.append(Left(asset, "model-left-out", name, asset.model))
    elif not (kind or of_type):
        into.left.append(Left(asset, "no-class", name, asset.type or asset.model))
    else:
        if kind and of_type and kind != of_type:
            into.other_class[model, kind, of_type] += 1
        bought = asset.bought or asset.used
        into.wished.append(
            Wish(
                asset,
                name,
                "use",
                kind or of_type,
                model,
                place_of(asset.location, meanings),
                establishment_of(asset.entity, meanings),
                bought if bought and bought <= day else None,
                bool(not asset.bought and asset.used),
            )
        )


def _type(asset: Asset, meanings: Meanings) -> str:
    """Return the class that GLPI's type tells, "" for none. A monitor's type says how it is made, not what it is."""
    told = meanings.types.get(folded(asset.type), "") if asset.type else ""
    return told or ("monitor" if asset.number.startswith("Monitor/") else "")


def _models(
    assets: Iterable[Asset], meanings: Meanings, ours: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Return name and class here by GLPI's model, folded.

    The class is what the first of these says: mapping file, inventory, our own figures of that very model, most of its
    machines' types.
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[str, str] = {}
    for asset in assets:
        if asset.model:
            key = folded(asset.model)
            written.setdefault(key, asset.model)
            votes[key][_type(asset, meanings)] += 1
    found = {}
    for key, model in written.items():
        name, kind = ours.get(folded(meanings.models.get(key, model)), (meanings.models.get(key, model), ""))
        told = Counter({k: n for k, n in sorted(votes[key].items()) if k in CLASSES})
        most = told.most_common(1)[0][0] if told else ""
        found[key] = name, meanings.classes.get(key) or kind or _own(name) or most
    return found


@cache
def _own(model: str) -> str:
    """Return the class under which our own figures have a model, "" for a model that they have not."""
    return next((kind for kind in CLASSES if model_of(kind, model).of), "")


def _once(assets: Sequence[Asset], into: Wishes) -> list[Asset]:
    """Return each machine once: the first row of a number, the newest entry of a serial number."""
    by_number: set[str] = set()
    newest: dict[str, Asset] = {}
    found = []
    for asset in assets:
        if asset.number and asset.number in by_number:
            into.left.append(Left(asset, "same-number", asset.name, asset.number))
            continue
        by_number.add(asset.number)
        found.append(asset)
        serial = plain_serial(asset.serial)
        if serial and (serial not in newest or _age(asset) > _age(newest[serial])):
            newest[serial] = asset
    kept = []
    for asset in found:
        serial = plain_serial(asset.serial)
        if serial and newest[serial] is not asset:
            into.left.append(Left(asset, "same-serial", asset.name, f"{asset.serial}: {newest[serial].name}"))
        else:
            kept.append(asset)
    return kept


def _age(asset: Asset) -> int:
    number = asset.number.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def _count_models(found: Wishes, ours: Mapping[str, tuple[str, str]]) -> None:
    counted = Counter((wish.model, wish.kind) for wish in found.wished if wish.model)
    for (model, kind), n in sorted(counted.items()):
        if folded(model) not in ours:
            found.unknown_models[model] = (kind, n)


def told_apart(name: str, wish: Wish) -> str:
    """Return a name that no other machine of that name has, "" where nothing tells them apart."""
    mark = wish.asset.serial or wish.asset.number
    return f"{name} ({mark})" if mark else ""
