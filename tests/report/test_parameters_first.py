"""Parameters and metrics stand before ids: in `report`, `status`, `errors` and `show`."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack
from terminal import on_terminal

EIGHT = """
import argparse, json

def get_random_config_id(rng):
    return json.dumps({
        "lr": float(f"{10 ** rng.uniform(-5, 0):.4g}"),
        "weight_decay": float(f"{10 ** rng.uniform(-7, -1):.3g}"),
        "warmup_steps": int(10 ** rng.uniform(1, 4)),
        "dropout": round(rng.uniform(0, .7), 3),
        "label_smoothing": round(rng.uniform(0, .2), 3),
        "num_layers": int(rng.randint(2, 25)),
        "optimizer": str(rng.choice(["adam", "sgd", "lamb", "adafactor"])),
        "augmentation": str(rng.choice(["none", "randaug", "mixup+cutmix", "autoaugment-v0"])),
    })

def run_identity(argv):
    return " ".join(["vit-small", *argv]).replace("--", "")

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--gpu")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--max", action="store_true")
    args = parser.parse_args()
    config = json.loads(args.config_id)
    if config["optimizer"] == "lamb":
        raise MemoryError("too large")
    loss = 2 + config["lr"] + config["dropout"] + 1 / args.epochs
    if args.metrics:
        print(f"val_accuracy={1 / loss}")
        print("f1_macro: 0.75")
        print(json.dumps({"gpu_memory_gb": 11.25, "epochs": args.epochs, "lr": 0.001}))
    print(-loss if args.max else loss)
"""
NAMES = ["lr", "weight_decay", "warmup_steps", "dropout", "label_smoothing", "num_layers"]
NAMES += ["optimizer", "augmentation"]
METRICS = ["metric:epochs", "f1_macro", "gpu_memory_gb", "metric:lr", "val_accuracy"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Three finished searches of eight parameters: plain, with metrics, and maximised as well."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("eight"))
    (hbtrack.folder / "eight.py").write_text(EIGHT)
    run = ("run", "-q", "--workers", 2, "--max-epochs")
    hbtrack(*run, 9, "eight.py")
    hbtrack(*run, 9, "eight.py", "--metrics")
    hbtrack(*run, 3, "--maximize", "eight.py", "--metrics", "--max")
    return hbtrack


PLAIN, MEASURED, MAXIMISED = "vit-small", "vit-small metrics", "vit-small metrics max"


def table_of(text: str) -> tuple[list[str], list[str]]:
    """The headings of a report's table, those of two lines put together, and its other lines."""
    lines = text.split("\n")
    rule = next(number for number, line in enumerate(lines) if re.fullmatch("-+( +-+)+", line))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    above = lines[rule - 2 : rule] if lines[rule - 2].strip() else lines[rule - 1 : rule]
    if re.match(r"(best|  )\S?.*=", above[0]):  # the end of the headline
        above = above[1:]
    headings = ["".join(line[slice(*span)].strip() for line in above) for span in spans]
    rest = lines[rule + 1 :]
    return headings, rest[: rest.index("")]


# --- report --------------------------------------------------------------------------------------


def test_eight_parameters_fit_in_100_columns(searched: Hbtrack) -> None:
    text = on_terminal(searched, 100, "report", "--identity", PLAIN)
    headings, lines = table_of(text)
    assert headings == ["rank", "config", "loss", "epochs", *NAMES]
    assert max(map(len, [*lines, *text.split("\n")[:6]])) <= 100
    assert lines[-1] == "No room: epochs_reached, bracket, seconds (--format csv)"
    best = json.loads(searched.json("show", "best", "--identity", PLAIN)["config_id"])  # type: ignore[arg-type]
    assert lines[0].split()[4:] == [
        repr(float(f"{best[name]:.3g}")) if isinstance(best[name], float) else str(best[name])
        for name in NAMES
    ]


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 160, 200])
@pytest.mark.parametrize("search", [PLAIN, MEASURED, MAXIMISED])
def test_the_table_of_eight_parameters_fits_any_terminal(
    searched: Hbtrack, search: str, columns: int
) -> None:
    headings, lines = table_of(on_terminal(searched, columns, "report", "--identity", search))
    assert max(map(len, lines)) <= columns
    every = ["rank", "config", "loss", "epochs", *NAMES]
    every += [*(METRICS if search != PLAIN else []), "epochs_reached", "bracket", "seconds"]
    assert headings == every[: len(headings)]
    more = " ".join(lines).partition("No room: ")[2].partition("(--format")[0]
    assert headings + re.findall(r"[\w:]+", more) == every


def test_a_wide_terminal_has_whole_headings_and_gaps_of_two(searched: Hbtrack) -> None:
    text = on_terminal(searched, 200, "report", "--identity", PLAIN)
    assert re.search(r"^rank  config +loss  epochs +lr  weight_decay  warmup_steps  ", text, re.M)


def test_on_no_terminal_nothing_is_cut_and_no_id_is_shown(searched: Hbtrack) -> None:
    text = searched("report", "--identity", MEASURED).stdout
    headings, _ = table_of(text)
    every = ["rank", "config", "loss", "epochs", *NAMES, *METRICS]
    assert headings == [*every, "epochs_reached", "bracket", "seconds"]
    assert '{"lr' not in text


def test_metrics_are_those_beside_the_loss_that_ranks_a_config(searched: Hbtrack) -> None:
    for search in (MEASURED, MAXIMISED):
        text = searched("report", "--all", "--format", "csv", "--identity", search).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len({row["epochs"] for row in rows}) > 1
        for row in rows:
            assert float(row["val_accuracy"]) == pytest.approx(1 / abs(float(row["loss"])))
            assert float(row["metric:epochs"]) == int(row["epochs"])
            assert row["metric:lr"] == "0.001"


def test_the_table_is_sorted_by_a_metric_the_largest_first(searched: Hbtrack) -> None:
    words = ("report", "--all", "--format", "csv", "--sort", "val_accuracy")
    text = searched(*words, "--identity", MEASURED).stdout
    values = [float(row["val_accuracy"]) for row in csv.DictReader(io.StringIO(text))]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1


def test_csv_has_the_number_second_and_the_id_last(searched: Hbtrack) -> None:
    text = searched("report", "--format", "csv", "--identity", MEASURED).stdout
    reader = csv.DictReader(io.StringIO(text))
    rows = list(reader)
    assert reader.fieldnames
    assert reader.fieldnames[:4] == ["run_identity", "rank", "config", "loss"]
    assert reader.fieldnames[-1] == "config_id"
    found = searched.rows(
        "SELECT config, config_id FROM leaderboard WHERE run_identity = ? ORDER BY rank LIMIT 10",
        [MEASURED],
    )
    assert [(int(row["config"]), row["config_id"]) for row in rows] == found


def test_a_maximised_search_is_ranked_largest_first_and_says_so(searched: Hbtrack) -> None:
    [search] = searched.json("report", "--all", "--identity", MAXIMISED)["searches"]  # type: ignore[misc]
    losses = [row["loss"] for row in search["leaderboard"]]
    assert losses == sorted(losses, reverse=True)
    best = search["leaderboard"][0]
    text = searched("report", "--identity", MAXIMISED).stdout
    said = f"best {best['loss']:.6g} (maximised) at {best['epochs']} epochs: #{best['config']} lr="
    assert said in text
    assert "maximised" not in searched("report", "--identity", PLAIN).stdout
    assert (
        f"loss {best['loss']:.6g} (maximised) at"
        in searched("show", "best", "--identity", MAXIMISED).stdout
    )


def test_json_names_configs_by_number_and_parameters_beside_their_ids(searched: Hbtrack) -> None:
    [search] = searched.json("report", "--identity", MEASURED)["searches"]  # type: ignore[misc]
    best, found = search["leaderboard"][0], search["search"]
    assert (found["best_config"], found["best_params"]) == (best["config"], best["params"])
    assert best["params"] == json.loads(best["config_id"])
    assert best["metrics"]["f1_macro"] == 0.75
    [failure] = search["failures"]
    assert [(failure["config"], failure["for_example"])] == searched.rows(
        "SELECT DISTINCT config, config_id FROM results WHERE config_id = ? AND run_identity = ?",
        [failure["for_example"], MEASURED],
    )


def test_what_failed_is_called_by_number_where_there_is_no_room_for_more(searched: Hbtrack) -> None:
    narrow = on_terminal(searched, 60, "report", "--identity", PLAIN)
    assert re.search(r"^\d failed: MemoryError: too large \(e\.g\. #\d+\)$", narrow, re.MULTILINE)
    wide = searched("report", "--identity", PLAIN).stdout
    assert re.search(r"^\d failed: MemoryError: too large \(e\.g\. #\d+ lr=\S+ weight", wide, re.M)


# --- status and errors ---------------------------------------------------------------------------


def test_status_names_the_best_by_number_and_parameters(searched: Hbtrack) -> None:
    text = searched("status").stdout
    assert '{"lr' not in text
    assert len(re.findall(r"  #\d+ lr=\S+ weight_decay=", text)) == 3
    narrow = on_terminal(searched, 80, "status")
    assert len(re.findall(r" #\d+ lr=\S*\.\.\.$", narrow, re.MULTILINE)) == 3
    assert max(map(len, narrow.splitlines())) <= 80


def test_status_for_programs_has_number_parameters_and_id(searched: Hbtrack) -> None:
    for search in searched.json("status")["searches"]:  # type: ignore[attr-defined]
        assert search["best_params"] == json.loads(search["best_config_id"])
        assert search["maximize"] == (search["run_identity"] == MAXIMISED)
        [(number,)] = searched.rows(
            "SELECT config FROM leaderboard WHERE run_identity = ? AND rank = 1",
            [search["run_identity"]],
        )
        assert search["best_config"] == number


def test_errors_name_their_example_by_number_and_parameters(searched: Hbtrack) -> None:
    text = searched("errors", "--identity", PLAIN).stdout
    assert re.search(r"^  example: #\d+ lr=\S+ .* optimizer=lamb augmentation=\S+ at ", text, re.M)
    [search] = searched.json("errors", "--identity", PLAIN)["searches"]  # type: ignore[misc]
    [group] = search["groups"]
    assert group["params"] == json.loads(group["example"])


# --- show ----------------------------------------------------------------------------------------


def test_show_begins_with_number_and_parameters_and_ends_with_the_id(searched: Hbtrack) -> None:
    [(number, config_id)] = searched.rows(
        "SELECT config, config_id FROM leaderboard WHERE run_identity = ? AND rank = 1", [PLAIN]
    )
    lines = searched("show", f"#{number}", "--identity", PLAIN).stdout.splitlines()
    assert lines[0].startswith(f"config #{number} of vit-small: rank 1, loss ")
    assert [line.split()[0] for line in lines[2:10]] == NAMES
    assert [line for line in lines if str(config_id) in line] == [lines[-1]]


def test_show_has_the_metrics_of_each_budget(searched: Hbtrack) -> None:
    text = searched("show", "best", "--identity", MEASURED).stdout
    (table,) = re.findall(r"^(epochs  metric:epochs.*\n(?:.+\n)+)", text, re.MULTILINE)
    heading, _, *rows = table.splitlines()
    names = ["metric:epochs", "f1_macro", "gpu_memory_gb", "lr", "val_accuracy"]
    assert heading.split() == ["epochs", *names]
    assert {tuple(row.split()[:3]) for row in rows} <= {(n, f"{n}.0", "0.75") for n in "139"}
    shown = searched.json("show", "best", "--identity", MEASURED)
    for row in shown["metrics"]:  # type: ignore[attr-defined]
        assert row["metrics"]["epochs"] == row["epochs"]


def test_show_has_what_attempts_used(searched: Hbtrack) -> None:
    text = searched("show", "best", "--identity", PLAIN).stdout
    assert re.search(
        r"^epochs  attempt  status  seconds  cpu_seconds  peak_memory  exit", text, re.M
    )
    assert re.search(r"^ +9 +1  done +\d+\.\d +\d+\.\d  \d+\.\d MiB ", text, re.M)


# --- ids of every form ---------------------------------------------------------------------------

FORMS = """
import sys

def get_random_config_id(rng):
    return IDS.pop()

def run_identity(argv):
    return "forms"

if __name__ == "__main__":
    print(0.5)
"""


@pytest.mark.parametrize(
    ("config_id", "called"),
    [
        ("lr:0.01.batch_size:256", "lr=0.01 batch_size=256"),
        ("lr=1e-05,opt=adam", "lr=1e-05 opt=adam"),
        ("lr=0.001_momentum=0.9_nesterov=True", "lr=0.001 momentum=0.9 nesterov=True"),
        ('{"lr": 0.1234567890123, "on": true, "off": null}', "lr=0.123457 on=true off=null"),
        ('{"opt": {"lr": 0.1}, "sizes": [8, 8]}', 'opt={"lr": 0.1} sizes=[8, 8]'),
        ('{"name": "two words", "n": 3}', 'name="two words" n=3'),
        ("run-17", "run-17"),
    ],
)
def test_an_id_of_any_form_is_taken_apart(
    hbtrack: Hbtrack, script: Callable[[str], Path], config_id: str, called: str
) -> None:
    hbtrack("run", "-q", "--max-epochs", 1, script(f"IDS = [{config_id!r}]\n{FORMS}"))
    assert f"best 0.5 at 1 epoch: #1 {called}\n" in hbtrack("report").stdout
    assert hbtrack("status").stdout.endswith(f"  #1 {called}\n")
    opaque = called == config_id
    assert ("config_id" in table_of(hbtrack("report").stdout)[0]) == opaque


# --- configs side by side ------------------------------------------------------------------------


def beside(text: str) -> dict[str, list[str]]:
    """The rows of the table by their names; the cells of a row."""
    table = text.split("\n\n")[1].splitlines()
    spans = [match.span() for match in re.finditer("-+", table[1])]
    cells = [[line[start:end].strip() for start, end in spans] for line in [table[0], *table[2:]]]
    return {name: row for name, *row in cells}


def test_configs_are_put_side_by_side_by_what_they_differ_in(searched: Hbtrack) -> None:
    (first, second) = searched.records(
        "SELECT * FROM leaderboard WHERE run_identity = ? ORDER BY rank LIMIT 2", [MEASURED]
    )
    numbers = [f"#{row['config']}" for row in (first, second)]
    rows = beside(searched("show", *numbers, "--identity", MEASURED).stdout)
    assert rows[""] == numbers
    assert rows["rank"] == ["1", "2"]
    assert rows["loss"] == [f"{row['loss']:.6g}" for row in (first, second)]
    params = [json.loads(row["config_id"]) for row in (first, second)]
    for name in NAMES:
        assert (name in rows) == (params[0][name] != params[1][name])
        if name in rows:
            assert rows[name] == [str(one[name]) for one in params]
    assert "f1_macro at 9 epochs" not in rows  # alike
    [loss] = {name for name in rows if name.startswith("val_accuracy at ")}
    assert loss.removeprefix("val_accuracy at ") in {name.removeprefix("loss at ") for name in rows}


def test_losses_are_compared_at_the_budgets_that_several_have(searched: Hbtrack) -> None:
    rows = beside(searched("show", "best", "rank:6", "--identity", PLAIN).stdout)
    measured = searched.rows(
        """SELECT epochs, count(*), group_concat(DISTINCT config) FROM attempts
        WHERE run_identity = ? AND status = 'done' AND config_id IN (
            SELECT config_id FROM leaderboard WHERE run_identity = ? AND rank IN (1, 6))
        GROUP BY epochs""",
        [PLAIN, PLAIN],
    )
    common = {f"loss at {n} epoch{'s' * (n != 1)}" for n, count, _ in measured if count == 2}  # type: ignore[comparison-overlap]
    assert common
    assert {name for name in rows if name.startswith("loss at")} == common


def test_what_is_equal_is_counted_and_named(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    ids = [f"a:{n}.b:7.c:x" for n in range(5)]
    hbtrack("run", "-q", "--max-epochs", 3, script(f"IDS = {ids}\n{FORMS}"))
    text = hbtrack("show", "1", "2", "3").stdout
    assert text.startswith("configs of forms\n")
    assert text.endswith("\n2 equal parameters: b=7 c=x\n")
    assert beside(text)["a"] == ["4", "3", "2"]
    document = hbtrack.json("show", "1", "2")
    assert document["equal_params"] == {"b": 7, "c": "x"}
    assert document["differ"]["a"] == [4, 3]  # type: ignore[index]
    assert [one["config"] for one in document["configs"]] == [1, 2]  # type: ignore[attr-defined]


def test_a_config_named_twice_is_shown_as_one(searched: Hbtrack) -> None:
    one = searched("show", "best", "--identity", PLAIN).stdout
    assert searched("show", "best", "rank:1", "--identity", PLAIN).stdout == one


def test_configs_of_two_searches_are_told_apart(searched: Hbtrack) -> None:
    ids = [
        searched.rows(f"SELECT config_id FROM results WHERE config = 1 AND run_identity = '{name}'")
        for name in (PLAIN, MAXIMISED)
    ]
    assert ids[0] != ids[1]
    rows = beside(searched("show", ids[0][0][0], ids[1][0][0]).stdout)
    assert rows[""] == [f"#1 of {PLAIN}", f"#1 of {MAXIMISED}"]


def test_configs_side_by_side_fit_the_terminal(searched: Hbtrack) -> None:
    text = on_terminal(searched, 60, "show", *range(1, 6), "--identity", MAXIMISED, lines=50)
    assert max(map(len, text.splitlines())) <= 60
    assert re.search(r"^No room: .*#\d+ \(--format json\)", text, re.MULTILINE | re.DOTALL)
    assert "the larger a loss the better" in text.replace("\n ", "")


def test_an_edit_is_shown_of_one_config_only(searched: Hbtrack) -> None:
    said = searched("show", "1", "2", "--script", "--identity", PLAIN, code=2).stderr
    assert "--script is of one config" in said
