"""`hbtrack export`: every view of a search in files of another format, whole or not at all."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Hbtrack, Row, make

from hbtrack.database.dictionary import DICTIONARY

SIGNS = tuple("=-+@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet compute; in full width, too."""
HOSTILE = [f"{sign}x" for sign in SIGNS] + ['a"b,c\r\nd', "\x1b[2J", "日本", ""]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Two searches; parameters of the first are hostile texts, bytes, numbers and nothing."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("made"))
    for identity in ("model:one", "model:two"):
        make(hbtrack, "--max-epochs", 3, "--passes", 1, "--identity", identity, "--fail", 0.2)
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        values = [*HOSTILE, b"\x00\xff", 9e999, -2.5, 7, None]
        connection.executemany(
            "INSERT INTO _param SELECT min(pk), ?, ? FROM _config", [*enumerate(values)]
        )
        connection.commit()
    return hbtrack


@pytest.fixture
def place(made: Hbtrack, tmp_path: Path) -> Hbtrack:
    """The same database alone in a folder."""
    shutil.copyfile(made.database, tmp_path / "hbtrack.db")
    return Hbtrack(tmp_path)


def left_in(hbtrack: Hbtrack) -> list[str]:
    """What lies in the folder, but for the files that SQLite makes."""
    return sorted(
        path.name for path in hbtrack.folder.iterdir() if not path.name.startswith("hbtrack.db-")
    )


def as_json(cell: object) -> object:
    """What JSON can say of a value."""
    forms = {bytes: bytes.hex, float: lambda number: str(number) if number > 1e308 else number}
    return forms.get(type(cell), lambda same: same)(cell)


def stored(hbtrack: Hbtrack, view: str) -> list[str]:
    """The rows of a view as JSON says them."""
    rows = hbtrack.records(f"SELECT * FROM {view}")
    return ordered([{name: as_json(cell) for name, cell in row.items()} for row in rows])


def ordered(rows: list[Row]) -> list[str]:
    return sorted(json.dumps(row) for row in rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_jsonl_has_every_row_of_every_view_as_it_is_and_only_dest_is_left(place: Hbtrack) -> None:
    place("export", "jsonl", "out")
    assert {path.name for path in (place.folder / "out").iterdir()} == {
        f"{v}.jsonl" for v in DICTIONARY
    }
    for view in DICTIONARY:
        lines = (place.folder / "out" / f"{view}.jsonl").read_text().splitlines()
        assert ordered([json.loads(line) for line in lines]) == stored(place, view)
    assert left_in(place) == ["hbtrack.db", "out"]


def test_json_is_one_document_with_the_same_rows(place: Hbtrack) -> None:
    place("export", "json", "out.json")
    document = json.loads((place.folder / "out.json").read_text())
    assert document["schema"] == "hbtrack.export/1"
    assert list(document["views"]) == list(DICTIONARY)
    for view in DICTIONARY:
        assert ordered(document["views"][view]) == stored(place, view)


def test_csv_has_every_row_and_every_digit(place: Hbtrack) -> None:
    place("export", "csv", "out")
    assert {path.name for path in (place.folder / "out").iterdir()} == {
        f"{v}.csv" for v in DICTIONARY
    }
    rows = read_csv(place.folder / "out" / "leaderboard.csv")
    losses = place.rows("SELECT loss FROM leaderboard")
    assert sorted((float(row["loss"]),) for row in rows) == sorted(losses)


def test_rows_of_a_bracket_come_in_canonical_order(place: Hbtrack) -> None:
    place("export", "csv", "out", "--identity", "model:one")
    rows = read_csv(place.folder / "out" / "results.csv")
    keys = [(-int(row["bracket"]), int(row["rung"]), int(row["slot"])) for row in rows]
    assert keys == sorted(keys)
    assert len(keys) > 3


def hostile_cells(place: Hbtrack, *options: str) -> list[str]:
    place("export", "csv", "out", "--identity", "model:one", *options)
    rows = read_csv(place.folder / "out" / "params.csv")
    values = {row["name"]: row["value"] for row in rows if row["name"].isdigit()}
    return [values[str(number)] for number in range(len(values))]


NUMBERS = ["00ff", "inf", "-2.5", "7", ""]


def test_fault_118_a_spreadsheet_computes_no_exported_text_but_numbers_stay_numbers(
    place: Hbtrack,
) -> None:
    safe = [f"'{text}" if text.startswith(SIGNS) else text for text in HOSTILE]
    assert hostile_cells(place) == [*safe, *NUMBERS]


def test_fault_118_raw_leaves_csv_cells_as_they_are(place: Hbtrack) -> None:
    assert hostile_cells(place, "--raw") == [*HOSTILE, *NUMBERS]


def test_raw_is_refused_where_it_would_mean_nothing(place: Hbtrack) -> None:
    place("export", "json", "out.json", "--raw", code=2)
    assert not (place.folder / "out.json").exists()


def test_an_identity_or_a_pattern_chooses_the_searches(place: Hbtrack) -> None:
    place("export", "csv", "one", "--identity", "model:one")
    place("export", "csv", "both", "--identity", "model:*")
    for folder, names in (("one", {"model:one"}), ("both", {"model:one", "model:two"})):
        for view in ("searches", "results", "attempts", "leaderboard", "params"):
            rows = read_csv(place.folder / folder / f"{view}.csv")
            assert {row["run_identity"] for row in rows} == names


def test_nothing_that_matches_is_exit_3_and_writes_nothing(place: Hbtrack) -> None:
    assert "'model:one'" in place("export", "csv", "out", "--identity", "model:on", code=3).stderr
    assert left_in(place) == ["hbtrack.db"]


@pytest.mark.parametrize("kind", ["folder", "file", "link to nothing"])
def test_a_dest_that_exists_is_refused_and_left_alone(place: Hbtrack, kind: str) -> None:
    dest = place.folder / "out"
    if kind == "folder":
        dest.mkdir()
    elif kind == "file":
        dest.write_text("mine")
    else:
        dest.symlink_to("nowhere")
    before = left_in(place)
    assert "not touched" in place("export", "csv", "out", code=2).stderr
    assert left_in(place) == before
    assert kind != "file" or dest.read_text() == "mine"


def test_a_dest_in_no_folder_is_refused(place: Hbtrack) -> None:
    assert "no folder" in place("export", "csv", "nowhere/out", code=2).stderr


def test_what_is_exported_is_private(place: Hbtrack) -> None:
    place("export", "csv", "out")
    place("export", "json", "out.json")
    folder = place.folder / "out"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [place.folder / "out.json", *folder.iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_kill_at_the_last_view_leaves_no_half_dest(place: Hbtrack) -> None:
    fault = {"HBTRACK_FAULT": f"export.view:{len(DICTIONARY)}:kill"}
    place("export", "csv", "out", env=fault, code=-signal.SIGKILL)
    assert not (place.folder / "out").exists()
    place("export", "csv", "out")  # what the kill left is not in the way
    assert len(list((place.folder / "out").iterdir())) == len(DICTIONARY)


def test_a_disk_without_room_is_told_and_leaves_nothing(place: Hbtrack) -> None:
    limit = 'ulimit -f 8; trap "" XFSZ; exec "$@"'
    export = place.command("export", "json", "out.json")
    result = place.process(["sh", "-c", limit, "sh", *export])
    assert result.returncode == 1
    assert result.stderr.startswith("hbtrack: ")
    assert left_in(place) == ["hbtrack.db"]


def test_a_search_that_goes_on_is_exported_at_one_moment(place: Hbtrack) -> None:
    """What is written after the first view was read is seen in no later one."""
    [[before]] = place.rows("SELECT count(*) FROM params")
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        fault = {"HBTRACK_FAULT": "export.view:2:freeze"}
        process = place.start("export", "jsonl", "out", env=fault)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        connection.execute("DELETE FROM _param")
        connection.commit()
    process.send_signal(signal.SIGCONT)
    assert process.communicate()[0] is None
    assert process.returncode == 0
    assert len((place.folder / "out" / "params.jsonl").read_text().splitlines()) == before
    assert place.rows("SELECT count(*) FROM params") == [(0,)]
