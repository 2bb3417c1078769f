"""What the tests of the mixing layer share: a song on disk and the command line in this process."""

from pathlib import Path

import pytest
from synthetic import save, stem


@pytest.fixture
def song(tmp_path) -> Path:
    """A folder of three stems: two mono, one stereo."""
    folder = tmp_path / "song"
    save(folder / "1_kick.wav", stem(0), subtype="FLOAT")
    save(folder / "2_synth.flac", stem(1, channels=2))
    save(folder / "3_hat.wav", stem(2), subtype="FLOAT")
    return folder


@pytest.fixture
def dasp_command(capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def run(*args: object) -> tuple[int, str, str]:
        from mixing.cli import main

        code = 0
        try:
            main([str(a) for a in args])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def refused(dasp_command):
    """Run a command that must be refused: exit code 2 and one sentence, which is returned."""

    def run(*args: object) -> str:
        code, _, err = dasp_command(*args)
        assert code == 2, f"exit code {code}: {err}"
        lines = err.strip().splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("dasp: "), err
        assert lines[0].endswith((".", "?")), err
        return lines[0]

    return run
