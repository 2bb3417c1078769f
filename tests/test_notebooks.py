"""The notebooks of docs/ run from top to bottom in a kernel of their own, as a reader runs them."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(p.stem for p in FOLDER.glob("*.md") if "file_format: mystnb" in p.read_text())


def test_there_are_the_tutorials_five():
    assert NOTEBOOKS == ["datasets", "evaluation", "inference", "models", "training"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(name, monkeypatch):
    from myst_nb.core.read import read_myst_markdown_notebook
    from myst_parser.config.main import MdParserConfig
    from nbclient import NotebookClient

    # Two workers of pytest-xdist share two cores; and the repository's packages are those that are tested.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")]))
    path = FOLDER / f"{name}.md"
    notebook = read_myst_markdown_notebook(path.read_text(), MdParserConfig(), path=path)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    # What a library complains of would be on the site for all to see.
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    assert sum(len(str(o)) for o in outputs) < 1_000_000
