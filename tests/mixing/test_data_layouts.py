"""Each layout on a miniature of the published one, and what is wrong in it: skipped, listed, never mixed in."""

import json

import miniatures as mini
import pytest
import torch
from miniatures import RATE, write
from synthetic import save

from mixing import UserError, data
from mixing.data import layouts


def names(found):
    return [s.name for s in found]


def test_every_layout_has_a_file_and_is_recognised_by_its_own_miniature(tmp_path):
    assert layouts() == ("cambridge", "dsd100", "enst_drums", "folder", "medleydb", "musdb18", "pack")
    assert len(data.load(mini.plain(tmp_path / "plain"))) == 3


def test_folder_takes_stems_beside_the_mix_or_in_a_folder(tmp_path):
    root = mini.plain(tmp_path / "data", 1)
    for name in ("01 - Kick.wav", "02 - Remix Vox.wav", "Song Mix.wav", "Song Master.wav"):
        write(root / "beside" / name)
    (root / "empty").mkdir()
    found = data.load(root)
    assert names(found) == ["beside", "song0"]
    assert found.skipped == (("empty", "has no audio files."),)
    beside, song = found
    assert beside.mix.name == "Song Mix.wav"
    assert [s.name for s in beside.stems] == ["01 - Kick", "02 - Remix Vox"]
    assert [s.channels for s in song.stems] == [1, 2, 1]
    assert not song.settings_known
    alone = data.load(root / "song0")
    assert names(alone) == ["song0"]


def test_folder_groups_by_a_part_of_the_name(tmp_path):
    root = mini.plain(tmp_path / "data", 1)
    (root / "song0").rename(root / "artist_one")
    mini.plain(tmp_path / "data", 1)
    found = data.load(root, group="^([a-z]+)_")
    assert [s.group for s in found] == ["artist", "song0"]
    with pytest.raises(UserError, match="parentheses"):
        data.load(root, "folder", group="a")


@pytest.mark.parametrize("short", ["pad", "skip"])
def test_a_short_stem_is_padded_with_a_note_or_the_song_skipped(tmp_path, short):
    root = mini.plain(tmp_path / "data", 2)
    write(root / "song0" / "stems" / "3_short.wav", 1, seconds=0.5)
    write(root / "song1" / "stems" / "3_long.wav", 1, seconds=1.5)
    found = data.load(root, short=short)
    if short == "skip":
        assert found.skipped == (("song0", "song0: stem 3_short is 0.50 s shorter than the mix."),)
        assert names(found) == ["song1"]
        return
    part = found["song0"].read()
    assert part.audio.shape == (1, 4, 2, RATE)
    assert not part.audio[0, 3, :, RATE // 2 :].any()
    assert part.audio[0, 3, :, : RATE // 2].any()
    assert part.notes == ("stem 3_short is 0.50 s shorter than the mix; silence is put behind it.",)
    assert found["song1"].notes == ("stem 3_long is 0.50 s longer than the mix; the rest is left out.",)
    assert found["song1"].read().samples == RATE


BROKEN = {
    "an empty file": (lambda p: p.write_bytes(b""), "empty"),
    "cut short": (mini.corrupt, "cut short"),
    "no audio": (lambda p: p.write_text("hello"), "cannot be read as audio"),
    "no samples": (lambda p: save(p, torch.zeros(1, 0), RATE), "has no samples"),
    "three channels": (lambda p: save(p, torch.zeros(3, RATE), RATE), "has 3 channels"),
    "NaN at the start": (lambda p: mini.with_nan(p, 10), "not numbers"),
    "NaN at the end": (lambda p: mini.with_nan(p, -1), "not numbers"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_one_bad_stem_among_many_songs_skips_its_song_and_says_why(tmp_path, what):
    spoil, word = BROKEN[what]
    root = mini.plain(tmp_path / "data", 6)
    spoil(root / "song3" / "stems" / "1_b.wav")
    found = data.load(root)
    assert names(found) == [f"song{n}" for n in (0, 1, 2, 4, 5)]
    ((song, why),) = found.skipped
    assert song == "song3"
    assert "1_b.wav" in why and word in why
    assert found.notes()[0] == "data: 1 of 6 were skipped."


def test_what_is_wrong_in_the_middle_is_found_by_the_whole_check_and_when_it_is_read(tmp_path):
    root = mini.plain(tmp_path / "data", 2)
    mini.with_nan(root / "song1" / "stems" / "1_b.wav", RATE // 2)
    save(root / "song0" / "stems" / "3_silent.wav", torch.zeros(1, RATE), RATE)
    quick, whole = data.load(root), data.load(root, check="all")
    assert names(quick) == ["song0", "song1"]
    assert names(whole) == ["song0"]
    assert "not numbers" in whole.skipped[0][1]
    assert whole["song0"].notes == ("stem 3_silent is silent.",)
    quick["song1"].read(0, 1000)
    with pytest.raises(UserError, match=r"1_b\.wav: has 1 samples that are not numbers"):
        quick["song1"].read(RATE // 2 - 10, 20)


def test_silent_songs_are_skipped_by_the_whole_check(tmp_path):
    root = mini.plain(tmp_path / "data", 3)
    save(root / "song0" / "mix.wav", torch.zeros(2, RATE), RATE)
    for k in "abc":
        save(root / "song1" / "stems" / f"{'abc'.index(k)}_{k}.wav", torch.zeros(1, RATE), RATE)
    found = data.load(root, check="all")
    assert dict(found.skipped) == {"song0": "song0: the mix is silent.", "song1": "song1: every stem is silent."}


def test_two_rates_in_a_song_are_said(tmp_path):
    root = mini.plain(tmp_path / "data", 1)
    write(root / "song0" / "stems" / "3_high.wav", 1, rate=96000)
    (song,) = data.load(root)
    assert (song.sample_rate, song.samples) == (RATE, RATE)
    assert song.notes == ("1 of 4 stem files, at 96000 Hz, are resampled to the song's 8000 Hz.",)
    assert song.read().audio.shape[-1] == RATE


def test_nothing_usable_or_a_wrong_word_is_a_users_error(tmp_path):
    root = mini.plain(tmp_path / "data", 1)
    with pytest.raises(UserError, match="no such folder"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="Did you mean 'musdb18'"):
        data.load(root, "musdb")
    with pytest.raises(UserError, match="no option 'goup'; it has group"):
        data.load(root, goup="x")
    with pytest.raises(UserError, match="check is one of"):
        data.load(root, check="every")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="laid out as none of"):
        data.load(tmp_path / "none")
    (root / "song0" / "stems" / "1_b.wav").write_bytes(b"")
    with pytest.raises(UserError, match="no song of layout folder can be used; the first of 1, song0"):
        data.load(root)


def test_pack_reads_what_meta_says(tmp_path):
    root = tmp_path / "pack"
    for name, mix in (("score", "mix_composer.wav"), ("record", "mix.wav")):
        for k in range(2):
            write(root / name / "stems" / f"0{k + 1}_kick.wav", k, k + 1)
        write(root / name / mix, 3, 2)
    write(root / "record" / "master_reference.wav", 4, 2)
    rows = [
        {"file": f"stems/0{k}_kick.wav", "label": "kick drum", "composer_gain_db": -3.0 * k, "composer_pan": 0.5} for k in (1, 2)
    ]
    score = {"song": "Suite", "licence": "MIT", "stem_gain_db": 6.0, "mix_gain_db": 4.0, "mix": "composer's", "stems": rows}
    record = {"song": "9.Work", "mix": "unity sum of the stems", "stems": [{"file": f"stems/0{k}_kick.wav"} for k in (1, 2)]}
    (root / "score" / "meta.json").write_text(json.dumps(score))
    (root / "record" / "meta.json").write_text(json.dumps(record))
    for bad, text in (("bad", "{"), ("worse", "[]"), ("worst", '{"stems": [{"file": "stems/x.wav"}]}')):
        (root / bad).mkdir()
        (root / bad / "meta.json").write_text(text)
    found = data.load(root)
    assert sorted(what for what, _ in found.skipped) == ["bad", "worse", "worst"]
    assert found["score"].gains_db == (-5.0, -8.0)
    assert found["score"].pans == (0.75, 0.75)
    assert (found["score"].group, found["score"].licence, found["score"].unity) == ("Suite", "MIT", False)
    assert [s.instrument for s in found["score"].stems] == ["kick drum", "kick drum"]
    assert found["record"].unity
    assert found["record"].mix.name == "mix.wav"
    assert found["record"].gains_db is None
    assert [s.instrument for s in found["record"].stems] == ["kick", "kick"]


def test_medleydb_one_and_two(tmp_path):
    root = tmp_path / "MedleyDB"
    mini.medleydb(root / "V1", "LizNelson_Rainfall")
    mini.medleydb(root / "V1", "LizNelson_Bleed")
    mini.medleydb(root / "V2", "AHa_TakeOnMe", root / "Metadata")
    (root / "V2" / "Nothing_Here").mkdir()
    found = data.load(root)
    assert names(found) == ["LizNelson_Bleed", "LizNelson_Rainfall", "AHa_TakeOnMe"]
    assert [s.group for s in found] == ["LizNelson", "LizNelson", "AHa"]
    assert [w for w, _ in found.skipped] == ["Nothing_Here"]
    song = found["AHa_TakeOnMe"]
    assert [(s.name, s.instrument, s.channels) for s in song.stems] == [
        ("RAW_01_01", "drum set", 1),
        ("RAW_01_02", "male singer, guitar", 1),
        ("RAW_02_01", "drum set", 1),
    ]
    stems = data.load(root, tracks="stems", bleed=False)
    assert names(stems) == ["LizNelson_Rainfall", "AHa_TakeOnMe"]
    assert [(s.instrument, s.channels) for s in stems["AHa_TakeOnMe"].stems] == [("electric bass", 2)] * 2


def test_medleydb_refuses_a_song_whose_metadata_name_a_missing_track(tmp_path):
    root = tmp_path / "V1"
    song = mini.medleydb(root, "A_One")
    mini.medleydb(root, "B_Two")
    damaged = mini.medleydb(root, "C_Three")
    (song / "A_One_RAW" / "A_One_RAW_01_02.wav").unlink()
    (damaged / "C_Three_METADATA.yaml").write_text("stems: [")
    found = data.load(root)
    assert names(found) == ["B_Two"]
    why = dict(found.skipped)
    assert "no such file" in why["A_One"]
    assert "not YAML" in why["C_Three"]
    with pytest.raises(UserError, match=r"no folder .* of metadata"):
        data.load(root, metadata=tmp_path / "nowhere")


def test_enst_drums(tmp_path):
    root = mini.enst(tmp_path / "ENST-drums-public")
    (root / "drummer_2" / "audio" / "kick" / "116_minus-one_rock-60s_sticks.wav").unlink()
    (root / "drummer_1" / "audio" / "dry_mix" / "037_phrase_disco_complex_fast_sticks.wav").unlink()
    found = data.load(tmp_path)
    assert names(found) == ["drummer_1_036_phrase_disco_simple_slow_sticks", "drummer_2_162_MIDI-minus-one_fusion-125_sticks"]
    assert [len(s.stems) for s in found] == [7, 8]
    assert found.songs[0].mix.parent.name == "dry_mix"
    why = dict(found.skipped)
    assert why["drummer_1_037_phrase_disco_complex_fast_sticks"] == "has no dry mix."
    assert "no such file" in why["drummer_2_116_minus-one_rock-60s_sticks"]
    wet = data.load(root, mix="wet", hits=True)
    assert [s.group for s in wet] == [
        "drummer_1_hits_snare-drum",
        *["drummer_1_phrase_disco"] * 2,
        "drummer_2_MIDI-minus-one_fusion-125",
    ]


def test_musdb18_and_what_is_coded(tmp_path):
    root = tmp_path / "musdb18hq"
    mini.musdb(root, "Artist - One")
    mini.musdb(root, "Artist - Two", "test")
    (mini.musdb(root, "Other - Three") / "vocals.wav").unlink()
    (root / "test" / "Coded - Four.stem.mp4").write_bytes(b"x")
    found = data.load(root)
    assert [(s.name, s.group, s.unity) for s in found] == [("Artist - One", "Artist", True), ("Artist - Two", "Artist", True)]
    why = dict(found.skipped)
    assert "musdbconvert" in why["Coded - Four.stem.mp4"]
    assert "no such file" in why["Other - Three"]
    assert names(data.load(root, subset="test")) == ["Artist - Two"]
    part = found.songs[0].read()
    torch.testing.assert_close(found.songs[0].sum(part), part.mix)


def test_dsd100(tmp_path):
    root = tmp_path / "DSD100"
    mini.dsd(root, "051 - AM Contra - Heart Peripheral")
    mini.dsd(root, "001 - ANiMAL - Clinic A", "Test")
    (root / "Mixtures" / "Test" / "002 - Lost - Sources").mkdir()
    found = data.load(root)
    assert [(s.name, s.group) for s in found] == [
        ("051 - AM Contra - Heart Peripheral", "AM Contra"),
        ("001 - ANiMAL - Clinic A", "ANiMAL"),
    ]
    assert found.skipped == (("002 - Lost - Sources", "is in Mixtures only."),)
    assert names(data.load(root, subset="Test")) == ["001 - ANiMAL - Clinic A"]


def test_cambridge_with_and_without_mixes(tmp_path):
    root = tmp_path / "multitracks"
    for song in ("AnnaBlanton_Rachel_Full", "AnnaBlanton_Waltz_Full", "JesusJones_Zeroes_Full"):
        write(root / song / "01_Kick1.wav", 0, rate=16000)
        write(root / song / "02_ElecGtrMix.wav", 1, 2, rate=16000)
        write(root / song / "10_LeadVox.wav", 2, rate=16000)
    write(root / "AnnaBlantonRachel_Full_Preview.wav", 3, 2)
    write(root / "AnnaBlantonRachel_Excerpt_Preview.wav", 3, 2)
    write(root / "Sorted_Song" / "tracks" / "01_Bass.wav", 0)
    write(root / "Sorted_Song" / "tracks" / "02_Keys.wav", 1)
    write(root / "Sorted_Song" / "mixes" / "a_mix_Full.ogg", 3, 2)
    (root / "__MACOSX").mkdir()
    inside = root / "Deep_Down_Full" / "Deep_Down_Full"
    write(inside / "01_Snare.wav", 0)
    write(inside / "02_Oh.wav", 0)
    found = data.load(root)
    assert not found.skipped
    mixes = {s.name: s.mix and s.mix.name for s in found}
    assert mixes == {
        "AnnaBlanton_Rachel_Full": "AnnaBlantonRachel_Full_Preview.wav",
        "AnnaBlanton_Waltz_Full": None,
        "Deep_Down_Full": None,
        "JesusJones_Zeroes_Full": None,
        "Sorted_Song": "a_mix_Full.ogg",
    }
    rachel = found["AnnaBlanton_Rachel_Full"]
    assert rachel.group == found["AnnaBlanton_Waltz_Full"].group == "AnnaBlanton"
    assert [s.instrument for s in rachel.stems] == ["Kick1", "ElecGtrMix", "LeadVox"]
    assert rachel.notes == ("3 of 3 stem files, at 16000 Hz, are resampled to the song's 8000 Hz.",)
    assert found["Deep_Down_Full"].notes == ("has no mix.",)
    assert found["Deep_Down_Full"].read().mix is None
    with pytest.raises(ValueError, match="has no mix"):
        found["Deep_Down_Full"].read_mix()


def test_cambridge_says_that_an_mp3_may_be_late(tmp_path):
    for k in range(2):
        write(tmp_path / "A_B_Full" / f"0{k}_x{k}.wav", k, rate=16000)
    write(tmp_path / "previews" / "AB_Full_Preview.mp3", 3, 2, rate=16000)
    (song,) = data.load(tmp_path)
    assert "may begin late" in song.notes[0]
