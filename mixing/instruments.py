"""Families of instruments, told from what people call their tracks."""

from __future__ import annotations

import re

# A name's family is the first that has one of its words. Words are regular expressions; ^ stands for the beginning of a word
# whose end is also asked for: "bass" is found in "SubBass", "^hat" in "hat_2" and not in "that".
_WORDS = {
    "kick": "kick kik ^bd bass_?drum",
    "snare": "snare ^sd ^snr rim_?shot side_?stick ^claps? ^snaps?",
    "hihat": "hi_?hat ^hats? ^hh",
    "toms": "^toms? timpani floor_?tom rack_?tom",
    "cymbals": "cymbal crash ^ride overhead ^oh[lr]? splash ^china",
    "percussion": "perc conga bongo shaker tambourin cowbell triangle cajon djembe tabla darbuka timbale maraca guiro cabasa "
    "claves woodblock castanet ^bells? gong",
    "drums": "drum beat ^kit ^rooms? ^loops? ^tops",
    "vocals": "vox vocal voice ^voc singer choir ^rap rapper ^bvs? ^singing speech speaker chant",
    "bass": "bass(?!oon) ^sub 808",
    "guitar": "guitar ^e?gtrs? ^gt banjo mandolin uk[ue]lele ^lute ^oud sitar",
    "keys": "piano organ rhodes wurli keys keyboard clavinet harpsichord accordion melodica celest mallet vibraphone marimba "
    "xylophone glocken ^ep",
    "strings": "string violin viola cello fiddle ^harp orchestra erhu",
    "brass": "brass trumpet trombone tuba ^horns? french_?horn cornet flugel euphonium",
    "winds": "sax flute clarinet oboe bassoon piccolo recorder ocarina whistle harmonica ^winds? woodwind",
    "fx": "^s?fx sweep riser ^rise glitch granular noise effect reverse impact texture foley",
    "synth": "synth ^pad ^lead ^arp pluck ^saw moog ^juno ^stabs? chord melody sampler sequence ^beeps? minilogue",
}
_PATTERNS = {
    family: re.compile("|".join(rf"(?:^|_){w[1:]}(?=_|\d|$)" if w[0] == "^" else w for w in words.split()))
    for family, words in _WORDS.items()
}
FAMILIES = (*_WORDS, "other")

# What engineers leave in the centre: the low end, and the snare with it.
CENTRED = ("kick", "snare", "bass")


def family(name: str) -> str:
    """The family of a track: "kick", "vocals", ... ; "other" where its name says nothing.

    Args:
        name: an instrument as a data set has it ("female singer"), or a track's name ("07_LeadVox1", "ElecGtrL").
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    text = re.sub(r"^\d+_", "", text)
    return next((f for f, p in _PATTERNS.items() if p.search(text)), "other")
