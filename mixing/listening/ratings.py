"""What listeners handed in: read, checked, and decoded with the test's key; what does not fit is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixing.errors import UserError
from mixing.listening.files import check, digest, read_json
from mixing.settings import short

_LARGEST = 5_000_000  # bytes
_LARGEST_KEY = 50_000_000


@dataclass(frozen=True)
class Rated:
    """One stimulus of one page.

    Attributes:
        condition: what it was.
        role: "condition", "reference" or "anchor".
        label: the letter by which this listener knew it.
        plays: how often it was played.
        heard_s: for how long.
        ratings: criterion -> 0 to 100.
    """

    condition: str
    role: str
    label: str
    plays: int
    heard_s: float
    ratings: dict[str, float]


@dataclass(frozen=True)
class RatedPage:
    """One page as a listener left it.

    Attributes:
        song: its name.
        kind: "rated" or "repeat".
        position: in the listener's order, from 1.
        seconds: spent on it.
        comment: what the listener wrote.
        stimuli: condition -> what was said of it.
    """

    song: str
    kind: str
    position: int
    seconds: float
    comment: str
    stimuli: dict[str, Rated]


@dataclass(frozen=True)
class Session:
    """What one listener did.

    Attributes:
        file: where it was read.
        participant: the listener's name.
        started_at, finished_at: UTC, ISO 8601.
        pages: all rated pages and repeats.
        answers: question -> answer.
    """

    file: str
    participant: str
    started_at: str
    finished_at: str
    pages: tuple[RatedPage, ...]
    answers: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Spent on the pages."""
        return sum(p.seconds for p in self.pages)


@dataclass(frozen=True)
class Read:
    """All files.

    Attributes:
        sessions: one for each listener.
        refused: file and reason.
    """

    sessions: tuple[Session, ...]
    refused: tuple[tuple[str, str], ...] = field(default=())


def read_key(path: Path) -> dict[str, Any]:
    """The key of a test.

    Raises:
        UserError: it cannot be read, is no key, or contradicts itself.
    """
    key = read_json(path, _LARGEST_KEY, "key")
    check(f"{path}: questions", key["questions"], "questionnaire")
    for page in key["pages"].values():
        names = [s["condition"] for s in page["stimuli"].values()]
        if sorted(names) != sorted(key["conditions"]):
            raise UserError(
                f"{path}: the page of {short(page['song'])} does not have each condition once; give the key as written."
            )
    return key


def find_key(files: Iterable[Path]) -> Path:
    """key.json beside the ratings, or in a folder above them.

    Raises:
        UserError: there is none.
    """
    for file in files:
        for folder in (file, *file.absolute().parents[:2]):
            if (folder / "key.json").is_file():
                return folder / "key.json"
    raise UserError("no key.json beside the ratings; name it by --key TEST_DIR/key.json.")


def listed(given: Iterable[Path]) -> list[Path]:
    """Files as they are; of folders all .json files but the key.

    Raises:
        UserError: a path that is missing, or a folder without ratings.
    """
    out: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(f for f in path.glob("*.json") if f.is_file() and f.name != "key.json")
            if not inside:
                raise UserError(f"{path}: has no .json files; give the ratings that the page saved.")
            out += inside
        elif path.exists():
            out.append(path)
        else:
            raise UserError(f"{path}: there is no such file or folder.")
    return list(dict.fromkeys(out))


def read(files: Iterable[Path], key: dict[str, Any]) -> Read:
    """All files that are ratings of this test, whole and unchanged, the first of each listener; and why the others are not.

    Args:
        files: JSON, as the page saves them.
        key: of the test; see `read_key`.

    Returns:
        sessions, and files that were refused with the reason.
    """
    sessions: list[Session] = []
    refused: list[tuple[str, str]] = []
    for file in files:
        try:
            session = read_one(file, key)
            other = next((s for s in sessions if s.participant == session.participant), None)
            if other is not None:
                raise UserError(f"{file}: {session.participant} has already handed in {Path(other.file).name}.")
        except UserError as error:
            refused.append((str(file), str(error).removeprefix(f"{file}: ")))
        else:
            sessions.append(session)
    return Read(tuple(sessions), tuple(refused))


def read_one(file: Path, key: dict[str, Any]) -> Session:
    """One listener's file.

    Raises:
        UserError: the message begins with the file's name and says why it cannot be used.
    """
    if file.suffix.lower() == ".csv":
        raise UserError(f"{file}: is a table; give the .json file that was saved beside it.")
    data = read_json(file, _LARGEST, "ratings")
    if data["test"] != key["test"]:
        raise UserError(f"{file}: is of another test ({data['test']}; the key is of {key['test']}).")
    if data["test_digest"] != key["digest"]:
        raise UserError(f"{file}: was made on a page that is not the one of the key; the page or the key was edited.")
    if digest({k: v for k, v in data.items() if k != "digest"}) != data["digest"]:
        raise UserError(f"{file}: was changed after it was saved (its digest does not fit).")
    if data["method"] != key["method"]:
        raise UserError(f"{file}: was made by the method {data['method']}; the test is {key['method']}.")
    pages = tuple(_page(f"{file}: page {p['position']}", p, key) for p in data["pages"])
    names = [p["page"] for p in data["pages"]]
    wanted = {n for n, p in key["pages"].items() if p["kind"] != "training"}
    if sorted(names) != sorted(wanted):
        twice = len(names) - len(set(names))
        what = f"{twice} pages stand twice" if twice else f"{len(wanted - set(names))} of {len(wanted)} pages are missing"
        raise UserError(f"{file}: {what}.")
    if sorted(p["position"] for p in data["pages"]) != list(range(1, len(names) + 1)):
        raise UserError(f"{file}: its pages are not numbered from 1 to {len(names)}.")
    return Session(str(file), data["participant"], data["started_at"], data["finished_at"], pages, _answers(file, data, key))


def _page(who: str, page: dict[str, Any], key: dict[str, Any]) -> RatedPage:
    known = key["pages"].get(page["page"])
    if known is None or known["kind"] == "training":
        raise UserError(f"{who}: {page['page']} is no rated page of the test.")
    stimuli: dict[str, Rated] = {}
    for s in page["stimuli"]:
        what = known["stimuli"].get(s["stimulus"])
        if what is None:
            raise UserError(f"{who}: {s['stimulus']} is no stimulus of this page.")
        if what["condition"] in stimuli:
            raise UserError(f"{who}: {s['stimulus']} stands twice.")
        if sorted(s["ratings"]) != sorted(key["criteria"]):
            raise UserError(f"{who}: {s['stimulus']} is not rated by {', '.join(key['criteria'])}.")
        ratings = {c: float(s["ratings"][c]) for c in key["criteria"]}
        stimuli[what["condition"]] = Rated(what["condition"], what["role"], s["label"], s["plays"], float(s["heard_s"]), ratings)
    if len(stimuli) < len(known["stimuli"]):
        raise UserError(f"{who}: {len(known['stimuli']) - len(stimuli)} stimuli are missing.")
    return RatedPage(known["song"], known["kind"], page["position"], float(page["seconds"]), page["comment"], stimuli)


def _answers(file: Path, data: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    questions = {q["name"]: q for q in key["questions"]}
    for name, answer in data["answers"].items():
        q = questions.get(name)
        if q is None:
            raise UserError(f"{file}: answers a question that was not asked ({short(name)}).")
        kind = {"choice": str, "text": str, "number": (int, float)}[q["type"]]
        if not isinstance(answer, kind) or (q["type"] == "choice" and answer not in q["options"]):
            raise UserError(f"{file}: the answer to {name} is none that can be given ({short(str(answer))}).")
    return data["answers"]
