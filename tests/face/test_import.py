"""`dibs import` against a real server: killed and started again, its outcomes in a file, its faults by line."""

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.face.processes import PATIENCE_S, Running, clean, data_directory, names_in, python_m_dibs, run, serve
from tests.face.terminal import Terminal

LINES = int(os.environ.get("DIBS_TEST_IMPORT_LINES", "10000"))
"""How many lines are imported, and killed twice over; 100,000 take a minute."""


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Running]:
    with serve(data, DIBS_MODELS="tests.models") as served:
        yield served


def write(path: Path, rows: list[list[str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_killed_twice_every_line_is_added_once_and_the_bar_goes_on(data_dir: Path, redis_path: str) -> None:
    names = [f"n{number:06}" for number in range(LINES)]
    file = write(data_dir / "names.csv", [["name", "name_2"], *([name, f"{name}-again"] for name in names)])
    before = 0
    with serve(data_dir, path=redis_path) as running:
        arguments = ("import", file, "--json")
        for kill_at in (LINES // 6, LINES // 2):
            with Terminal(*arguments, DIBS_URL=running.url) as killed:
                bars = killed.bars()
                first, total = next(bars)
                assert total == LINES
                assert before <= first < LINES, "the bar does not begin where it was"
                before = first if first >= kill_at else next(done for done, _ in bars if done >= kill_at)
                killed.process.send_signal(signal.SIGKILL)
        with Terminal(*arguments, DIBS_URL=running.url) as last:
            done = [done for done, _ in last.bars()]
            code, output = last.ended()
        assert done[0] >= before
        assert done == sorted(done)
        assert done[-1] == LINES
        told = json.loads(output)
        assert (code, told["lines"], told["counts"]) == (0, LINES, {"succeeded": LINES})
        assert told["resumed_from"] >= before
        again = run("import", file, "--json", DIBS_URL=running.url)
        assert (again.returncode, json.loads(again.stdout)["resumed_from"]) == (0, LINES)
    assert names_in(data_dir / "dibs.db") == names


@pytest.mark.parametrize("runs", [2, 3])
def test_runs_of_one_file_at_once_add_every_line_once(data_dir: Path, runs: int) -> None:
    names = [f"n{number:06}" for number in range(5000)]
    file, outcomes = write(data_dir / "names.csv", [["name"], *([name] for name in names)]), data_dir / "out.csv"
    with serve(data_dir) as running:
        arguments = ("import", file, "--json", "--outcomes", str(outcomes))
        with ThreadPoolExecutor(runs) as threads:
            ended = list(threads.map(lambda _: run(*arguments, DIBS_URL=running.url), range(runs)))
    assert [(done.returncode, done.stderr) for done in ended] == [(0, "")] * runs
    assert [json.loads(done.stdout)["counts"] for done in ended] == [{"succeeded": 5000}] * runs
    assert names_in(data_dir / "dibs.db") == names
    with outcomes.open(newline="") as written:
        assert [int(row["line"]) for row in csv.DictReader(written)] == list(range(2, 5002))
    assert not list(data_dir.glob(".out.csv*"))


def test_the_outcomes_of_all_lines_in_their_order(running: Running, tmp_path: Path) -> None:
    rows = [["name", "name_2"], ["Ada", "Ada-2"], ["Ada", "Ada-2"], ["Ada", ""], ["two\nlines", ""], ["x" * 300, ""]]
    file, outcomes = write(tmp_path / "names.csv", rows), tmp_path / "outcomes.csv"
    done = run("import", file, "--outcomes", str(outcomes), "--json", DIBS_URL=running.url)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["counts"] == {"succeeded": 3, "exhausted": 1, "failed": 1}
    found = list(csv.DictReader(io.StringIO(outcomes.read_text())))
    # The row with a line break in it takes two lines of the file.
    assert [row["line"] for row in found] == ["2", "3", "4", "5", "7"]
    assert [row["status"] for row in found] == ["succeeded", "succeeded", "exhausted", "succeeded", "failed"]
    assert [row["choice"] for row in found] == ["0", "1", "", "0", ""]
    assert json.loads(found[1]["result"])["name"] == "Ada-2"
    assert "255" in found[4]["error"]

    lines = tmp_path / "outcomes.ndjson"
    again = run("import", file, "--outcomes", str(lines), DIBS_URL=running.url)
    assert again.returncode == 1
    assert "5 lines of" in again.stdout
    assert [json.loads(line)["id"] for line in lines.read_text().splitlines()] == [row["job"] for row in found]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.csv", "outcomes.csv", "outcomes.ndjson"]


def test_outcomes_that_cannot_be_written_are_told_in_one_line(running: Running, tmp_path: Path) -> None:
    file, directory = write(tmp_path / "names.csv", [["name"], ["Gil"]]), tmp_path / "out.csv"
    directory.mkdir()
    done = run("import", file, "--outcomes", str(directory), DIBS_URL=running.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [f"dibs: --outcomes: {directory} cannot be written: Is a directory"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.csv", "out.csv"]


def test_lines_that_did_not_succeed_are_told_by_their_number(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "names.ndjson"
    file.write_text('{"name": "Bea"}\n\n"Bea"\n{"nome": "x"}\nno json\n["Bea", "Bea-2"]\n{"candidates": ["Cid"]}\n')
    done = run("import", str(file), DIBS_URL=running.url)
    assert done.returncode == 1
    told = [line.removeprefix(f"dibs: {file}:").partition(":") for line in done.stderr.splitlines()]
    assert [(line, text.split()[0].strip(":")) for line, _, text in told] == [
        ("3", "exhausted"), ("4", "failed"), ("5", "failed"),
    ]  # fmt: skip
    assert ': "' not in done.stderr, "a reason is in quotes"
    assert "3 succeeded, 1 exhausted, 2 failed" in done.stdout


def test_only_taken_candidates_are_exit_code_3_and_another_key_imports_again(running: Running, tmp_path: Path) -> None:
    file = write(tmp_path / "names.csv", [["name"], ["Dan"]])
    codes = [run("import", file, "--key", key, DIBS_URL=running.url).returncode for key in ("", "", "again")]
    assert codes == [0, 0, 3]


def test_values_are_of_the_types_of_the_collection(running: Running, tmp_path: Path) -> None:
    rows = [["tenant", "handle", "handle_2", "owner", "fee", "tags"], ["t", "5", "007", "Ada", "1.50", '{"a": [1]}']]
    dry = run("import", write(tmp_path / "h.csv", rows), "--to", "handles", "--dry-run", DIBS_URL=running.url)
    assert (dry.returncode, dry.stderr) == (0, "")
    assert json.loads(dry.stdout) == {
        "candidates": [{"handle": "5"}, {"handle": "007"}],
        "values": {"tenant": "t", "owner": "Ada", "fee": "1.50", "tags": {"a": [1]}},
    }


def test_stdin_is_imported_and_a_second_time_too(running: Running) -> None:
    for _ in range(2):
        done = subprocess.run(
            python_m_dibs("import", "-", "--format", "ndjson", "--json"),
            input='"Eve"\n"Eve-2"\n', env=clean({"DIBS_URL": running.url}),
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)["counts"]) == (0, {"succeeded": 2})


WRONG_FILES = {
    "a cell too many": (b"name\nAda\nBea,x\n", "names.csv:3: has 2 cells, and the header has 1"),
    "no such column": (b"name,nome\nAda,x\n", "animals has no column nome, only name"),
    "no key": (b"nome\nAda\n", "no column holds the candidates: the key of animals is name"),
    "another encoding": ("name\nJörg\n".encode("latin-1"), "names.csv:2: byte 2 is not utf-8"),
    "an open quote": (b'name\nAda\n"Bea\n', "names.csv:3: is no row of a table"),
    "a column without a name": (b"name,\nAda,x\n", "names.csv:1: column 2 has no name"),
    "two columns of one name": (b"name,name\nAda,x\n", "names.csv:1: two columns are called name"),
    "nothing": (b"", "names.csv is empty"),
    "a header alone": (b"name\n", "names.csv has nothing to import"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_of_a_file_that_is_wrong_nothing_is_sent(running: Running, data: Path, tmp_path: Path, case: str) -> None:
    content, told = WRONG_FILES[case]
    file = tmp_path / "names.csv"
    file.write_bytes(content)
    before = names_in(data / "dibs.db")
    wrong = run("import", str(file), DIBS_URL=running.url)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert told in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert names_in(data / "dibs.db") == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no such file"], "no such file cannot be read: No such file or directory"),
        (["{file}", "--to", "plants"], "there is no collection plants, only animals"),
        (["{file}", "--encoding", "klingon"], "there is no klingon"),
        (["{file}", "--outcomes", "/no/such/directory/o.csv"], "cannot be written"),
        (["{file}", "--skip", "nome"], "there is no column nome"),
    ],
)
def test_misuse_is_told_in_one_line(running: Running, tmp_path: Path, arguments: list[str], told: str) -> None:
    file = write(tmp_path / "names.csv", [["name"], ["Fay"]])
    wrong = run("import", *(argument.format(file=file) for argument in arguments), DIBS_URL=running.url)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    [line] = wrong.stderr.splitlines()
    assert told in line


def test_a_server_that_cannot_be_reached_is_told_on_the_terminal(tmp_path: Path) -> None:
    file = write(tmp_path / "names.csv", [["name"], ["Hal"]])
    with Terminal("import", file, DIBS_URL="http://127.0.0.1:9") as waiting:
        waiting.until_drawn("http://127.0.0.1:9 cannot be reached, trying again")


def test_an_interrupt_says_how_to_go_on(running: Running, tmp_path: Path) -> None:
    file = write(tmp_path / "names.csv", [["name"], *([f"g{number}"] for number in range(200_000))])
    with Terminal("import", file, DIBS_URL=running.url) as stopped:
        next(stopped.bars())
        stopped.process.send_signal(signal.SIGINT)
        for _ in stopped.bars():
            pass
        code, output = stopped.ended()
    assert (code, output) == (130, "")
    assert "run the same command again to go on where it was" in stopped.drawn
    assert "Traceback" not in stopped.drawn
