"""Why did last month change? What was learnt of a hardware model, and what it changes, in French and English."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from thinwatt_collector import units
from thinwatt_collector.calibrated import Learnt, Way
from thinwatt_collector.calibrated.learning import Refusal

Language = Literal["fr", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en")
Z95: Final = 1.959963984540054


WORDS: Final = {
    "en": {
        "load": "its load",
        "components": "the counters of its components",
        "learnt": (
            "{model} ({kind}): the power by {way} is calibrated on {machines} metered machines, {hours} hours of them "
            "from {begin} to {end}. At rest {rest} W became {rest_now} W, above that every watt {moving} W. What was "
            "assumed missed these machines by {off} %. The power of one machine is now known to ± {one} %, that of "
            "many to ± {many} % (95 %); an hour of a metered machine is missed by {residual} %."
        ),
        "from": " It is booked from {valid} on (version {version}); what was booked before stays as it was.",
        "changed": (
            " In the restated view the modelled energy of these machines from {begin} to {end} went from {before} kWh "
            "to {after} kWh ({share} %)."
        ),
        "unchanged": " No earlier energy is by this model, so nothing is restated.",
    },
    "fr": {
        "load": "sa charge",
        "components": "les compteurs de ses composants",
        "learnt": (
            "{model} ({kind}) : la puissance d’après {way} est étalonnée sur {machines} machines équipées d’un "
            "compteur, {hours} de leurs heures du {begin} au {end}. Au repos, {rest} W deviennent {rest_now} W ; "
            "au-delà, chaque watt devient {moving} W. L’hypothèse se trompait de {off} % sur ces machines. La "
            "puissance d’une machine est désormais connue à ± {one} %, celle de nombreuses machines à ± {many} % "
            "(95 %) ; sur une heure d’une machine mesurée, l’écart est de {residual} %."
        ),
        "from": (
            " Le modèle s’applique à partir du {valid} (version {version}) ; ce qui était déjà comptabilisé reste tel "
            "quel."
        ),
        "changed": (
            " Dans la vue recalculée, l’énergie modélisée de ces machines du {begin} au {end} passe de {before} kWh à "
            "{after} kWh ({share} %)."
        ),
        "unchanged": " Aucune énergie antérieure ne vient de ce modèle : rien n’est recalculé.",
    },
}
REFUSED: Final = {
    "en": {
        "whole": "{model} ({kind}), by {way}, not calibrated: ",
        "few": (
            "{machines} machines with a meter and enough hours; {limit:.0f} are needed to tell how they differ"
            " and, of endpoints, to be nobody's own affair"
        ),
        "nothing": "nothing is assumed of this class of machines that could be corrected; data/devices.csv has no row",
        "steady": (
            "the load of the {machines} metered machines hardly varied ({number:.1%} of its range, {limit:.0%} is "
            "needed): that says nothing of other loads; wait for a busier week"
        ),
        "residual": (
            "the model misses hours of its own {machines} metered machines by {number:.0%} (at most {limit:.0%}): do "
            "the meters carry other devices too, or do clocks differ?"
        ),
        "absurd": (
            "the {machines} meters say {number:.2f} times what was assumed, beyond {limit:.0f} times: does a meter "
            "carry another device, or is its unit wrong?"
        ),
        "supply": (
            "by the {machines} meters the power supply would have an efficiency of {number:.0%}: components draw more "
            "than the wall, so a meter is not that of its machine"
        ),
        "unlike": (
            "the {machines} metered machines differ so much (± {number:.0%}) that what is assumed (± {limit:.0%}) is "
            "no worse"
        ),
        "nameless": "{machines} metered machines do not say their hardware model: set model in [agent] there",
    },
    "fr": {
        "whole": "{model} ({kind}), d’après {way}, pas d’étalonnage : ",
        "few": (
            "{machines} machines avec un compteur et assez d’heures ; il en faut {limit:.0f} pour dire en quoi elles "
            "diffèrent et, pour des postes, pour n’en désigner aucun"
        ),
        "nothing": "rien n’est supposé de cette classe qui puisse être corrigé ; data/devices.csv n’a pas de ligne",
        "steady": (
            "la charge des {machines} machines mesurées n’a presque pas varié ({number:.1%} de sa plage, il faut "
            "{limit:.0%}) : cela ne dit rien d’autres charges ; attendez une semaine plus chargée"
        ),
        "residual": (
            "le modèle manque les heures de ses propres {machines} machines mesurées de {number:.0%} (au plus "
            "{limit:.0%}) : un compteur porte-t-il un autre appareil, ou les horloges diffèrent-elles ?"
        ),
        "absurd": (
            "les {machines} compteurs disent {number:.2f} fois l’hypothèse, au-delà de {limit:.0f} fois : un compteur "
            "porte-t-il un autre appareil, ou son unité est-elle fausse ?"
        ),
        "supply": (
            "d’après les {machines} compteurs, l’alimentation aurait un rendement de {number:.0%} : les composants "
            "prendraient plus que la prise, donc un compteur n’est pas celui de sa machine"
        ),
        "unlike": (
            "les {machines} machines mesurées diffèrent tant (± {number:.0%}) que l’hypothèse (± {limit:.0%}) n’est "
            "pas pire"
        ),
        "nameless": "{machines} machines mesurées ne disent pas leur modèle : écrivez model dans [agent] là-bas",
    },
}


def learnt(found: Learnt, clock: ZoneInfo, language: Language, whole: bool = True) -> str:
    """Return a calibration in words.

    Args:
        found: what was learnt.
        clock: whose local times are written.
        language: "fr" or "en".
        whole: whether it is told how much energy is restated.
    """
    text = WORDS[language]

    def number(value: float, how: str) -> str:
        return _number(value, language, how)

    def day(at: int) -> str:
        return f"{datetime.fromtimestamp(at, clock):%Y-%m-%d %H:%M}"

    said = text["learnt"].format(
        model=found.model,
        kind=found.kind,
        way=text[found.way],
        machines=found.machines,
        hours=number(found.hours, ".0f"),
        begin=day(found.begin),
        end=day(found.end),
        rest=number(found.rest_watts, ".1f"),
        rest_now=number(found.rest * found.rest_watts, ".1f"),
        moving=number(found.moving, ".3f"),
        off=number(100 * found.off, "+.1f"),
        one=number(100 * Z95 * found.uncertainty, ".1f"),
        many=number(100 * Z95 * found.common, ".1f"),
        residual=number(100 * found.residual, ".1f"),
    )
    said += text["from"].format(valid=day(found.valid_from), version=found.version)
    if not whole:
        return said
    if not found.restates:
        return said + text["unchanged"]
    begin, end, before, after = found.restates
    kwh = units.scale("kWh", "J")
    return said + text["changed"].format(
        begin=day(begin),
        end=day(end),
        before=number(before / kwh, ".3f"),
        after=number(after / kwh, ".3f"),
        share=number(100 * (after / before - 1.0), "+.1f"),
    )


def refused(kind: str, model: str, way: Way, why: Refusal, language: Language) -> str:
    """Return in words why a hardware model is not calibrated.

    Args:
        kind: class.
        model: hardware model, "" where none is said.
        way: that was tried.
        why: not.
        language: "fr" or "en".
    """
    text = REFUSED[language]
    whole = text["whole"].format(model=model or "–", kind=kind, way=WORDS[language][way])
    said = text[why.why].format(machines=why.machines, number=why.number, limit=why.limit)
    return whole + said + "."


def _number(value: float, language: Language, how: str) -> str:
    """Return a number as people write it: with a real minus, and in French with a comma and narrow spaces."""
    text = format(value, how.replace(".", ",.")).replace("-", "−")
    return text.translate(str.maketrans(",.", "\u202f,")) if language == "fr" else text
