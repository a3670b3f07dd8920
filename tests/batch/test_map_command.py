"""The command `python -m replicate_rs.batch`, as a process, against the local Replicate."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import replicate_rs as replicate
from replicate_rs.batch import Journal, command
from replicate_rs.local import LocalReplicate, sleep
from support.conditions import until

PNG = b"\x89PNG\r\n\x1a\n"
PAINTER = "acme/painter"


@pytest.fixture
def server():
    server = LocalReplicate(token="r8_mine", username="acme")

    @server.model(PAINTER)
    def painter(prompt: str, seed: int = 0, seconds: float = 0.0) -> bytes:
        sleep(seconds)
        if prompt == "bad":
            raise RuntimeError("NSFW content\n\x1b[31mdetected")
        return f"{prompt} {seed}".encode()

    @server.model("acme/upscaler")
    def upscaler(image: bytes, scale: int = 2) -> bytes:
        return image * scale

    with server:
        yield server


@pytest.fixture
def start(server, tmp_path):
    """Return a function that starts the command in an empty folder."""
    processes = []

    def start(*arguments, **variables):
        process = subprocess.Popen(
            [sys.executable, "-m", "replicate_rs.batch", *arguments],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ
            | {"REPLICATE_BASE_URL": server.base_url, "REPLICATE_API_TOKEN": "r8_mine"}
            | variables,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def call(start):
    """Return a function that runs the command, and returns its exit code, stdout and stderr."""

    def call(*arguments, stdin=None, **variables):
        process = start(*arguments, **variables)
        out, err = process.communicate(stdin, timeout=60)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    return call


def write_prompts(folder, prompts, **columns):
    with (folder / "prompts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", *columns])
        for number, prompt in enumerate(prompts):
            writer.writerow([f"row{number}", prompt, *columns.values()])


def read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def created(server):
    """Return how often each prompt was paid for."""
    client = replicate.Replicate("r8_mine", base_url=server.base_url)
    return Counter(each.input["prompt"] for each in client.predictions.list().auto())


def line(err):
    """Return the only line of stderr."""
    assert err.count("\n") == 1, err
    assert err.startswith("replicate_rs.batch: "), err
    return err.removeprefix("replicate_rs.batch: ").rstrip("\n")


JOURNAL = ("--journal", "runs.db")
KEYED = ("--key", "id", "--column", "prompt=prompt")


# Runs


def test_a_table_to_a_folder_of_files(call, server, tmp_path):
    write_prompts(tmp_path, ["a cat", "a d\u00f6g"], n=4)
    code, out, err = call(
        *("run", PAINTER, "prompts.csv", *JOURNAL, "--save-to", "images", "--out", "r.jsonl"),
        *("--key", "id", "--column", "prompt=prompt", "--column", "seed=n", "--type", "seed=int"),
    )
    assert (code, out) == (0, "")
    assert line(err) == "2 of 2 inputs are done, 0 of them failed"
    rows = sorted(read(tmp_path / "r.jsonl"), key=lambda row: row["index"])
    assert [row["input"] for row in rows] == [
        {"prompt": "a cat", "seed": 4},
        {"prompt": "a d\u00f6g", "seed": 4},
    ]
    assert [row["files"] for row in rows] == [
        [str(tmp_path / "images" / f"row{number}.bin")] for number in range(2)
    ]
    assert (tmp_path / "images" / "row1.bin").read_bytes() == "a d\u00f6g 4".encode()
    # Again: nothing is run.
    again = call("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED, "--input", "seed=4", "--quiet")
    assert again == (0, "", "")
    assert created(server) == {"a cat": 1, "a d\u00f6g": 1}


def test_inputs_that_all_rows_share(call, server, tmp_path):
    lines = [{"prompt": "a"}, {"prompt": "b", "seed": 1}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "in.csv").write_text("image\n")
    inputs = ("--input", "seed=7", "--input", "seconds=0.01")
    code, _, err = call("run", PAINTER, "in.jsonl", "--out", "r.csv", *inputs)
    assert code == 0, err
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["index"]: json.loads(row["input"]) for row in csv.DictReader(file)}
    assert rows == {
        "0": {"prompt": "a", "seed": 7, "seconds": 0.01},
        "1": {"prompt": "b", "seed": 1, "seconds": 0.01},
    }


def test_files_of_rows_and_a_file_that_all_rows_share(call, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "photo").write_bytes(PNG)
    (tmp_path / "sub" / "t.csv").write_text("image,id\nphoto,a\n")
    (tmp_path / "t.csv").write_text("scale\n3\n")
    code, _, err = call(
        *("run", "acme/upscaler", "sub/t.csv", "--save-to", "1", "--file", "image", "--key", "id"),
        "--input",
        "scale=2",
    )
    assert code == 0, err
    (file,) = (tmp_path / "1").iterdir()
    assert file.read_bytes() == PNG * 2
    code, _, err = call(
        *("run", "acme/upscaler", "t.csv", "--save-to", "2", "--type", "scale=int"),
        *("--file", "image", "--input", "image=sub/photo", "--out", "-"),
    )
    assert code == 0, err
    (file,) = (tmp_path / "2").iterdir()
    assert file.read_bytes() == PNG * 3


def test_lines_on_stdin_and_on_stdout_as_they_come(start, server):
    process = start("run", PAINTER, "-", "--out", "-", "--quiet")
    for number in range(3):
        process.stdin.write(json.dumps({"prompt": f"p{number}"}) + "\n")
        process.stdin.flush()
        # The result comes before the next line is there.
        row = json.loads(process.stdout.readline())
        assert (row["index"], row["input"]) == (number, {"prompt": f"p{number}"})
    out, err = process.communicate("", timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def deploy(server, model):
    """Create the deployment acme/app of a model."""
    client = replicate.Replicate("r8_mine", base_url=server.base_url)
    client.deployments.create(
        name="app",
        model=model,
        version=client.models.get(model).latest_version.id,
        hardware="cpu",
        min_instances=0,
        max_instances=1,
    )


def test_a_deployment(call, server, tmp_path):
    deploy(server, PAINTER)
    write_prompts(tmp_path, ["bad"])
    run = ("run", "acme/app", "prompts.csv", "--deployment", *JOURNAL, *KEYED)
    assert call(*run)[0] == 1
    code, out, _ = call("status", "runs.db")
    assert code == 0
    assert "target       deployment acme/app\n" in out
    assert call("retry", "runs.db", "--failed", "--quiet")[0] == 1
    assert created(server) == {"bad": 2}


def test_a_version(call, server, tmp_path):
    client = replicate.Replicate("r8_mine", base_url=server.base_url)
    version = client.models.get(PAINTER).latest_version.id
    write_prompts(tmp_path, ["bad"])
    run = ("run", f"{PAINTER}:{version}", "prompts.csv", *JOURNAL, *KEYED)
    assert call(*run)[0] == 1
    assert call("retry", "runs.db", "--failed", "--quiet")[0] == 1
    assert f"target       {version}\n" in call("status", "runs.db")[1]
    assert created(server) == {"bad": 2}


# Failures


def test_inputs_that_fail(call, server, tmp_path):
    write_prompts(tmp_path, ["a", "bad", "b", "bad"])
    code, out, err = call(
        *("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED, "--out", "r.csv", "--retries", "1")
    )
    assert (code, out) == (1, "")
    assert err == (
        "replicate_rs.batch: 4 of 4 inputs are done, 2 of them failed\n"
        "      2 x NSFW content; \\x1b[31mdetected\n"
    )
    assert created(server) == {"a": 1, "b": 1, "bad": 4}
    code, out, err = call("status", "runs.db")
    assert (code, err) == (0, "")
    pattern = (
        r"target       acme/painter\ninputs       4\nsucceeded    2\nfailed       2\n"
        r"attempts     6\npredict time 0:00:0\d\n"
        r"begun        \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n"
        r"last ended   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\nworkers      0\n"
        r"\nerrors\n      2 x NSFW content; \\x1b\[31mdetected\n"
    )
    assert re.fullmatch(pattern, out), out


def test_what_failed_is_run_again(call, server, tmp_path):
    write_prompts(tmp_path, ["a", "bad"])
    (tmp_path / "plain.csv").write_text("prompt\nbad\nb\n")
    assert call("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED)[0] == 1
    # Without keys of their own, too.
    assert call("run", PAINTER, "plain.csv", *JOURNAL)[0] == 1
    code, _, err = call("retry", "runs.db", "--failed", "--save-to", "images")
    assert code == 1
    assert err.startswith("replicate_rs.batch: 2 of 2 inputs are done, 2 of them failed\n")
    run = ("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED)
    assert call(*run)[0] == 1
    assert call(*run, "--retry-failed")[0] == 1
    assert created(server) == {"a": 1, "b": 1, "bad": 5}

    @server.model(PAINTER)
    def painter(prompt: str) -> bytes:
        return b"repaired"

    code, out, err = call("retry", "runs.db", "--failed", "--save-to", "images")
    assert (code, out) == (0, "")
    assert line(err) == "2 of 2 inputs are done, 0 of them failed"
    assert len([*(tmp_path / "images").iterdir()]) == 2
    with Journal(tmp_path / "runs.db") as journal:
        assert journal.summary().statuses == {"succeeded": 4}
    code, _, err = call("retry", "runs.db", "--failed")
    assert (code, line(err)) == (0, "0 of 0 inputs are done, 0 of them failed")


def test_the_content_of_files_is_not_in_the_journal(call, server, tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "t.csv").write_text("image,scale\nphoto.png,\nphoto.png,x\n")
    run = ("run", "acme/upscaler", "t.csv", *JOURNAL, "--file", "image")
    assert call(*run)[0] == 1
    code, _, err = call("retry", "runs.db", "--failed", "--quiet")
    assert code == 1
    assert line(err) == (
        "1 input had files, whose content the journal does not have: run them again by"
        " `run ... --retry-failed` with their table"
    )
    before = len(server.requests)
    assert call(*run, "--retry-failed")[0] == 1
    sent = [each for each in server.requests[before:] if each.path.endswith("/predictions")]
    assert [each.method for each in sent] == ["POST"]


def test_rows_that_cannot_be_sent_are_results(call, server, tmp_path):
    lines = ['{"prompt": "\\ud800"}', '{"prompt": "a"}', '{"prompt": [NaN]}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    code, _, err = call("run", PAINTER, "in.jsonl", "--out", "r.jsonl")
    assert code == 1, err
    rows = {row["index"]: row for row in read(tmp_path / "r.jsonl")}
    assert [rows[index]["status"] for index in range(3)] == ["failed", "succeeded", "failed"]
    assert rows[0]["input"] is rows[2]["input"] is None
    assert "inputs[0]" in rows[0]["error"]


def test_too_many_failures_end_the_run(call, server, tmp_path):
    write_prompts(tmp_path, ["bad"] * 30)
    run = ("run", PAINTER, "prompts.csv", *KEYED, "--max-failures", "3", "--concurrency", "2")
    code, _, err = call(*run, *JOURNAL, "--out", "r.jsonl")
    assert code == 2
    first, last = err.splitlines()
    assert re.fullmatch(
        r"replicate_rs\.batch: ended early: \d+ of 30 inputs are done, \d+ of them failed;"
        rf" \d+ predictions? runs? on at Replicate(, and \d+ may do so)?\. To go on: .*{PAINTER}.*",
        first,
    )
    assert last == "replicate_rs.batch: 4 inputs failed, more than max_failures=3"
    assert created(server)["bad"] < 12
    assert not (tmp_path / "r.jsonl").exists()
    # Without a journal, the file has what is done.
    assert call(*run, "--out", "r.jsonl")[0] == 2
    assert 4 <= len(read(tmp_path / "r.jsonl")) < 12


def test_files_that_are_not_saved_are_no_success(call, server, tmp_path):
    write_prompts(tmp_path, ["a", "b"])
    server.fault("GET /pbxt/*", status=404)
    run = ("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED, "--save-to", "images")
    code, _, err = call(*run)
    assert code == 1
    assert "; the files of 1 were not saved: run this again to save them\n" in err
    assert call(*run, "--quiet") == (0, "", "")
    assert len([*(tmp_path / "images").iterdir()]) == 2
    assert created(server) == {"a": 1, "b": 1}


# Wrong arguments, and bad input: nothing is sent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", *JOURNAL], "none.csv: No such file or directory"),
        (["."], "the results would be lost: name a --journal, --out or --save-to"),
        ([".", *JOURNAL], ".: it is a folder, not a file"),
        (["t.txt", *JOURNAL], "t.txt: the format must be told by the name's end: .jsonl"),
        (["damaged.csv", *JOURNAL], "damaged.csv, line 3: it has 2 fields, and the first line"),
        (["damaged.jsonl", *JOURNAL], "damaged.jsonl, line 1, column 12: no JSON: "),
        (["t.csv", *JOURNAL, "--key", "no"], "t.csv has no column 'no': the columns are 'prompt'"),
        (["t.csv", *JOURNAL, "--column", "prompt=promt"], "t.csv has no column 'promt': did you"),
        (["t.csv", *JOURNAL, "--file", "image"], "files has 'image', which is no input: the"),
        (["t.csv", *JOURNAL, "--type", "prompt=int"], "t.csv, line 2: the column 'prompt' must be"),
        (["t.csv", *JOURNAL, "--input", "a=1", "--input", "a=2"], "--input a is given twice"),
        (["t.csv", *JOURNAL, "--concurrency", "0"], "concurrency must be "),
        (["t.csv", *JOURNAL, "--rate", "0"], "rate must be a number above 0"),
        (["t.csv", *JOURNAL, "--max-failures", "1.5"], "max_failures must be "),
        (["t.csv", "--journal", "t.csv"], "t.csv is the table of inputs"),
        (["t.csv", "--out", "./t.csv"], "./t.csv is the table of inputs"),
        (["t.csv", "--out", "no/r.csv"], "no/r.csv was not written: No such file or directory"),
        (["t.csv", "--journal", "no/runs.db"], "no/runs.db: it cannot be opened: its folder must"),
        (["t.csv", "--journal", "damaged.csv"], "damaged.csv: it is not a journal"),
        (["t.csv", "--save-to", "t.csv/x"], "save_to: "),
    ],
)
def test_bad_input_is_said_in_a_line_and_nothing_is_sent(
    call, server, tmp_path, arguments, message
):
    (tmp_path / "t.csv").write_text("prompt\na\n")
    (tmp_path / "t.txt").write_text("prompt\na\n")
    (tmp_path / "damaged.csv").write_text("prompt\na\nb,c\n")
    (tmp_path / "damaged.jsonl").write_text('{"prompt": }\n')
    code, out, err = call("run", PAINTER, *arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"replicate_rs.batch: {message}"), err
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", PAINTER], "the following arguments are required: inputs"),
        (
            ["run", PAINTER, "t.csv", "--input", "seed"],
            "--input: it must be NAME=VALUE, not 'seed'",
        ),
        (["run", PAINTER, "t.csv", "--type", "a=number"], "--type: the type must be one of int, "),
        (
            ["run", PAINTER, "t.csv", "--out", "r.xlsx"],
            "--out: the format must be told by the name",
        ),
        (["run", PAINTER, "t.csv", "--out", "r.parquet.gz"], "--out: the format must be told by"),
        (["run", PAINTER, "t.csv", "--retries", "x"], "--retries: invalid int value: 'x'"),
        (["run", PAINTER, "t.csv", "--jour", "x"], "unrecognized arguments: --jour"),
        (["retry", "runs.db"], "the following arguments are required: --failed"),
        (["export", "runs.db", "r"], "out: the format must be told by the name's end"),
    ],
)
def test_wrong_usage(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("words", ["status", "export", "retry", "cancel"])
def test_journals_that_are_none(call, server, tmp_path, words):
    (tmp_path / "text.db").write_text("no database at all, but text")
    more = {"export": ["r.csv"], "retry": ["--failed"]}.get(words, [])
    for name, message in (("none.db", "there is no journal"), ("text.db", "it is not a journal")):
        code, out, err = call(words, name, *more)
        assert (code, out) == (2, "")
        assert line(err).startswith(f"{name}: {message}")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["text.db"]


def test_a_journal_of_another_model(call, tmp_path):
    write_prompts(tmp_path, ["a"])
    assert call("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED)[0] == 0
    code, _, err = call("run", "acme/upscaler", "prompts.csv", *JOURNAL, *KEYED)
    assert code == 2
    assert "runs.db is the journal of acme/painter, not of acme/upscaler" in err


def test_a_model_and_a_token_that_are_wrong(call, server, tmp_path):
    write_prompts(tmp_path, ["a"])
    code, _, err = call("run", "acme/none", "prompts.csv", *KEYED, "--out", "-")
    assert code == 2
    assert "acme/none" in err.splitlines()[-1]
    run = ("run", PAINTER, "prompts.csv", *KEYED, "--out", "-")
    code, _, err = call(*run, REPLICATE_API_TOKEN="r8_other")
    assert code == 2
    assert err.splitlines()[-1].endswith(": check REPLICATE_API_TOKEN")
    code, _, err = call(
        *run, REPLICATE_API_TOKEN="", REPLICATE_BASE_URL="https://api.example.invalid"
    )
    assert code == 2
    assert "set REPLICATE_API_TOKEN" in err.splitlines()[-1]


def test_bad_lines_on_stdin(call, server):
    run = ("run", PAINTER, "-", "--out", "-")
    assert call(*run, stdin="")[::2] == (
        2,
        "replicate_rs.batch: stdin: it has no row: write one JSON object a line\n",
    )
    code, out, err = call(*run, "--column", "prompt=text", stdin='{"tex": "a"}\n')
    assert (code, out) == (2, "")
    assert line(err).startswith("stdin has, in its first object, no field 'text'")
    code, out, err = call(*run, stdin='{"prompt": "a"}\n\n{"prompt":\n')
    assert code == 2
    assert err.splitlines()[-1].startswith("replicate_rs.batch: stdin, line 3, column 11: no JSON")
    assert out == "" or json.loads(out)["status"] == "succeeded"


# Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_interrupted_and_goes_on(start, call, server, tmp_path, number):
    write_prompts(tmp_path, [f"p{each}" for each in range(40)], seconds=0.5)
    (tmp_path / "r.jsonl").write_text("of before")
    run = (
        *("run", PAINTER, "prompts.csv", *JOURNAL, "--key", "id", "--type", "seconds=float"),
        *("--save-to", "my images", "--out", "r.jsonl", "--concurrency", "4"),
    )
    process = start(*run)
    until(lambda: len([*(tmp_path / "my images").glob("*.bin")]) > 4)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    match = re.fullmatch(
        r"ended early: (\d+) of 40 inputs are done, 0 of them failed; (\d+) predictions? runs? on"
        r" at Replicate(?:, and (\d+) may do so)?\. To go on: (.*)",
        line(err),
    )
    assert match, err
    assert 1 <= int(match[1]) < 40
    assert 1 <= int(match[2]) + int(match[3] or 0) <= 4
    assert (tmp_path / "r.jsonl").read_text() == "of before"
    words = shlex.split(match[4])
    assert words == [sys.executable, "-m", "replicate_rs.batch", *run]
    code, out, err = call(*words[3:])
    assert (code, out) == (0, "")
    assert line(err) == "40 of 40 inputs are done, 0 of them failed"
    assert created(server) == {f"p{each}": 1 for each in range(40)}
    assert len(read(tmp_path / "r.jsonl")) == len([*(tmp_path / "my images").iterdir()]) == 40


def test_interrupted_without_a_journal(start, server, tmp_path):
    lines = [{"prompt": "fast"}, {"prompt": "slow", "seconds": 30}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    process = start("run", PAINTER, "in.jsonl", "--out", "r.jsonl", "--save-to", "images")
    until(lambda: [*(tmp_path / "images").glob("*.bin")] and server.running == 1)
    # What is saved becomes a result.
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert line(err) == (
        "ended early: 1 of 2 inputs are done, 0 of them failed. What ran is canceled: there is no"
        " --journal"
    )
    assert [row["input"]["prompt"] for row in read(tmp_path / "r.jsonl")] == ["fast"]
    until(lambda: server.running == 0)


def test_interrupted_while_it_waits_for_stdin(start, server):
    process = start("run", PAINTER, "-", "--out", "-")
    process.stdin.write('{"prompt": "a"}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["status"] == "succeeded"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "Fatal" not in process.stderr.read()


def test_an_interrupted_retry_goes_on(start, call, server, tmp_path):
    write_prompts(tmp_path, ["bad"] * 3)
    assert call("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED)[0] == 1

    @server.model(PAINTER)
    def painter(prompt: str) -> str:
        sleep(2)
        return "repaired"

    process = start("retry", "runs.db", "--failed", "--concurrency", "1")
    until(lambda: server.running)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == 130
    assert call("retry", "runs.db", "--failed", "--quiet") == (0, "", "")
    assert created(server) == {"bad": 6}


def test_cancel(start, call, server, tmp_path):
    write_prompts(tmp_path, [f"p{each}" for each in range(5)], seconds=60)
    run = ("run", PAINTER, "prompts.csv", *JOURNAL, "--key", "id", "--type", "seconds=float")
    process = start(*run, "--concurrency", "3")
    until(lambda: server.running == 3)
    with Journal(tmp_path / "runs.db") as journal:
        until(lambda: journal.summary().statuses.get("running") == 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert server.running == 3
    code, out, err = call("cancel", "runs.db")
    assert (code, out) == (0, "")
    assert line(err) == "3 canceled, 0 had ended"
    assert server.running == 0
    with Journal(tmp_path / "runs.db") as journal:
        statuses = journal.summary().statuses
    assert statuses["canceled"] == 3
    assert "running" not in statuses
    assert line(call("cancel", "runs.db")[2]) == "0 canceled, 0 had ended"


def test_predictions_that_cannot_be_canceled(start, call, server, tmp_path):
    write_prompts(tmp_path, ["a"], seconds=3)
    run = ("run", PAINTER, "prompts.csv", *JOURNAL, "--key", "id", "--type", "seconds=float")
    process = start(*run)
    with_id = tmp_path / "runs.db"
    until(with_id.exists)

    def has_id():
        try:
            with Journal(with_id) as journal:
                return journal.summary().statuses == {"running": 1}
        except replicate.exceptions.JournalError:
            return False

    until(has_id)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    server.fault("POST /predictions/*/cancel", status=403)
    code, out, err = call("cancel", "runs.db")
    assert (code, out) == (1, "")
    assert "403" in err.splitlines()[0]
    assert err.splitlines()[-1] == "replicate_rs.batch: 0 canceled, 1 had ended"


# Exports


def test_exports(call, server, tmp_path):
    write_prompts(tmp_path, ["a", "bad"])
    assert call("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED)[0] == 1
    assert call("export", "runs.db", "r.jsonl") == (
        0,
        "",
        "replicate_rs.batch: 2 results written to r.jsonl\n",
    )
    assert call("export", "runs.db", "r.csv.gz")[0] == 0
    assert call("export", "runs.db", "r.tsv")[0] == 0
    rows = read(tmp_path / "r.jsonl")
    assert [(row["key"], row["status"]) for row in rows] == [
        ("row0", "succeeded"),
        ("row1", "failed"),
    ]
    assert rows[0]["output"].startswith("http")
    code, out, err = call("export", "runs.db", "-")
    assert (code, err) == (0, "")
    assert [*map(json.loads, out.splitlines())] == rows
    assert (tmp_path / "r.tsv").read_text().startswith("key\tindex\tinput\tstatus\t")


def test_what_reads_the_output_has_ended(call, start, server, tmp_path):
    write_prompts(tmp_path, [f"p{each}" for each in range(30)])
    process = start("run", PAINTER, "prompts.csv", *JOURNAL, *KEYED, "--out", "-", "--quiet")
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""
    process = start("export", "runs.db", "-")
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""


# Help


def examples():
    """Return the commands that the help shows, each with its place."""
    texts = {
        "main": command.MAIN_EXAMPLES,
        "run": command.RUN_EXAMPLES,
        "status": command.STATUS_EXAMPLES,
        "export": command.EXPORT_EXAMPLES,
        "retry": command.RETRY_EXAMPLES,
        "cancel": command.CANCEL_EXAMPLES,
    }
    return [
        pytest.param(line.strip(), id=f"{name}-{number}")
        for name, text in texts.items()
        for number, line in enumerate(
            line for line in text.splitlines() if line.startswith(f"  {command.PROGRAM}")
        )
    ]


@pytest.mark.parametrize("example", examples())
def test_each_example_of_the_help(call, server, tmp_path, example):
    if ".parquet" in example:
        pytest.importorskip("pyarrow")
    name = example.split()[3]
    assert example in call(name, "--help")[1] + call("--help")[1]

    @server.model(command.MODEL)
    def flux(
        prompt: str, seed: int = 0, aspect_ratio: str = "1:1", num_outputs: int = 1
    ) -> list[bytes]:
        return [PNG] * num_outputs

    deploy(server, command.MODEL)
    (tmp_path / "prompts.csv").write_text("prompt\na cat\n")
    if "--key" in example:
        (tmp_path / "prompts.csv").write_text("id,text,seed\n1,a cat,2\n")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a cat"}\n')
    (tmp_path / "photos.csv").write_text("image\nphoto.png\n")
    (tmp_path / "photo.png").write_bytes(PNG)
    if name != "run":
        first = ("run", command.MODEL, "prompts.csv", *JOURNAL, "--quiet")
        assert call(*first) == (0, "", "")
    program = shlex.quote(sys.executable)
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", example.replace("python", program, 1)],
        cwd=tmp_path,
        env=os.environ | {"REPLICATE_BASE_URL": server.base_url, "REPLICATE_API_TOKEN": "r8_mine"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
