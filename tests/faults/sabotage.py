"""Deliberate mistakes, applied one by one to a copy of the project: a named test has to notice each of them.

``python -m tests.faults.sabotage [WORD]``: all of them, or those whose name holds WORD. One line a mistake; the last
line counts. It ends with 1 when one was not noticed, or could not be made because its line is not there any more.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
COPIED = ("edge_sim", "tests", "device_profiles", "examples", "pyproject.toml")
LIMIT_S = 300.0
FAILED = 1
"""pytest's status when a test failed."""


@dataclass(frozen=True)
class Mistake:
    """``line`` of ``file`` becomes ``wrong``; ``test`` is what pytest is told to run."""

    name: str
    file: str
    line: str
    wrong: str
    test: str


UPDATE = "edge_sim/agent/update"
MISTAKES = (
    Mistake("rm and ln in place of rename", f"{UPDATE}/releases.py", "        beside.replace(self._link)\n",
            "        self._link.unlink()\n        point('P18 link-created')\n        beside.rename(self._link)\n",
            "tests/unit/test_releases.py"),
    Mistake("no watch of a new core", f"{UPDATE}/installation.py",
            "self._runner.not_ready() or self._watch(version, self.settings.stable_checks, on_pass)", "None",
            "tests/unit/test_updater.py::test_a_build_that_dies_while_it_is_watched_ends_on_the_old_one"),
    Mistake("trust the journal alone", f"{UPDATE}/updater.py",
            "        return record.confirmed and self._releases(record.software).current() != record.old\n",
            "        return record.confirmed\n",
            "tests/unit/test_updater.py::test_a_commit_that_the_disk_reported_as_failed_is_rolled_back_and_said_to_have_failed"),
    Mistake("no answer is success of a report", f"{UPDATE}/outbox.py",
            "        except RefusedError as error:\n", "        except Exception as error:\n",
            "tests/unit/test_updater.py::test_the_report_waits_for_a_cloud_that_does_not_answer"),
    Mistake("no check of the journal's sum", f"{UPDATE}/journal.py",
            ' or document["checksum"] != _checksum(fields)', "", "tests/unit/test_journal.py"),
    Mistake("a damaged copy pushes out the good one", f"{UPDATE}/journal.py",
            " and _decode(_content(self._file)) is not None", "", "tests/unit/test_journal.py"),
    Mistake("install before the cloud agreed", "edge_sim/jobs/update.py", "        reporting=Reporting.CONSENT,\n",
            "        reporting=Reporting.PROGRESS,\n",
            "tests/unit/test_updater.py::test_nothing_is_done_before_the_cloud_has_agreed"),
    Mistake("both of two boards have the job", f"{UPDATE}/jobclient.py",
            "            raise JobTakenError(job)\n", "            pass\n", "tests/unit/test_jobclient.py"),
    Mistake("another board's running job is taken", f"{UPDATE}/updater.py",
            '        if execution.status == "IN_PROGRESS" and other != holder:\n', "        if False:\n",
            "tests/unit/test_updater.py::test_a_job_that_another_board_of_this_name_has_is_left_alone"),
    Mistake("only the first ten pending jobs", f"{UPDATE}/jobclient.py",
            "            if not new or len(page) < MAX_PENDING_SHOWN:\n", "            if True:\n",
            "tests/unit/test_jobclient.py"),
    Mistake("another token for each attempt", f"{UPDATE}/jobclient.py",
            "                answer = self._attempt(request.topic, requests.encode(body), waiting)\n",
            "                body = replace(body, client_token=self._new_token())\n"
            "                answer = self._attempt(request.topic, requests.encode(body), waiting)\n",
            "tests/unit/test_loop.py -k same_token"),
    Mistake("a version that moved on is the end", f"{UPDATE}/jobclient.py",
            '            if answer.code != "VersionMismatch" or answer.state is None:\n', "            if True:\n",
            "tests/unit/test_loop.py -k moved_on"),
    Mistake("no step timer", f"{UPDATE}/phases.py",
            "            step_timeout_minutes=self._target(task).installation.settings.step_minutes,\n", "",
            "tests/unit/test_updater.py::test_a_good_build_replaces_the_old_one"),
    Mistake("only notify-next is heard", "edge_sim/agent/loop.py",
            "            if message.topic in (topics.notify(thing), topics.notify_next(thing)):\n",
            "            if message.topic == topics.notify_next(thing):\n", "tests/unit/test_loop.py -k every_notice"),
    Mistake("a lost broker is told at every try", "edge_sim/agent/mqtt.py",
            "        if not self._closing and (reason not in self._reasons or lasting != self._lasting):\n",
            "        if not self._closing:\n",
            "tests/unit/test_mqtt.py -k told_once"),
    Mistake("all tries are counted", "edge_sim/agent/http.py",
            "                    failures, best = 0, progress()\n", "                    best = progress()\n",
            "tests/unit/test_download.py -k without_progress"),
    Mistake("Retry-After is ignored", "edge_sim/agent/http.py",
            "                pause = max(error.retry_after_s, self._backoff(failures, patience))\n",
            "                pause = self._backoff(failures, patience)\n", "tests/unit/test_download.py -k come_back"),
    Mistake("no If-Match", "edge_sim/agent/download.py",
            '        condition = {"If-Match": self.etag} if self.etag else {}\n', "        condition = {}\n",
            "tests/unit/test_download.py -k later_process"),
    Mistake("two files are put together", "edge_sim/agent/download.py",
            "    elif etag is not None and part.etag not in (None, etag):\n", "    elif False:\n",
            "tests/unit/test_download.py -k no_mixture"),
    Mistake("no look at the digest", "edge_sim/agent/download.py",
            "        if part.digest.hexdigest() == self.sha256.lower():\n", "        if True:\n",
            "tests/unit/test_download.py -k digest"),
    Mistake("a name is not looked up before it is judged", "edge_sim/agent/http_wire.py",
            "    allowed = [place for place, why in zip(places, against, strict=True) if why is None]\n",
            "    allowed = places\n", "tests/unit/test_download.py -k judged_by_its_addresses"),
    Mistake("redirected anywhere", "edge_sim/agent/http.py",
            '    if not same or after.scheme not in (before.scheme, "https"):\n', "    if False:\n",
            "tests/unit/test_download.py -k refusals"),
    Mistake("answer before COMMIT", "edge_sim/cloud/jobs/outbox.py",
            "            ),\n        )\n        self._store.on_commit(partial(self._send, message))\n",
            "            ),\n        )\n        self._send(message)\n", "tests/unit/test_jobs_outbox.py"),
    Mistake("nothing is said again after a restart", "edge_sim/cloud/jobs/outbox.py",
            "            self._store.on_commit(partial(self._send, _Message(*row)))\n", "            pass\n",
            "tests/unit/test_jobs_outbox.py -k killed_between"),
    Mistake("the core is left dead", f"{UPDATE}/guard.py",
            "            self._start(_turn(versions, self._starts))\n", "            pass\n",
            "tests/unit/test_guard.py"),
    Mistake("no fsync of a file before its new name", "edge_sim/agent/durable.py",
            "        os.fsync(file.fileno())\n", "", "tests/integration/test_faults.py -k renames"),
    Mistake("no fsync of a directory after a new name", "edge_sim/agent/durable.py",
            "        os.fsync(descriptor)\n", "        pass\n", "tests/integration/test_faults.py -k renames"),
    Mistake("no fsync of an unpacked build", "edge_sim/agent/archives/tree.py",
            "        linux.syncfs(self._root)\n", "        pass\n", "tests/integration/test_faults.py -k renames"),
    Mistake("reported before it is confirmed", f"{UPDATE}/phases.py",
            '        self._progress(task, "healthy for the whole stable window")',
            '        self._jobs.update(task.record.job, Update(status="SUCCEEDED"))',
            "tests/unit/test_updater.py::test_a_good_build_replaces_the_old_one"),
    Mistake("an agent that cannot go back is started again", "edge_sim/agent/supervise.py",
            '                if unproven is None or self.version() != unproven["new"]:\n', "                if True:\n",
            "tests/unit/test_supervise.py -k cannot_move"),
    Mistake("an agent outlives its supervisor", "edge_sim/agent/program.py",
            "        linux.die_with_parent(signal.SIGKILL, _supervisor_lives)", "        pass",
            "tests/integration/test_ota_agent.py -k ends_with_its_supervisor"),
    Mistake("an agent that was orphaned before it asked lives on", "edge_sim/agent/linux.py",
            "    if not lives():\n", "    if False:\n",
            "tests/integration/test_ota_agent.py -k before_it_asks"),
    Mistake("a container's function outlives a killed agent", "edge_sim/agent/functions/sandbox.py",
            "        linux.die_with_parent(signal.SIGKILL, lives)\n        os.umask", "        os.umask",
            "tests/root/test_sandbox_ends.py -k runs_ends"),
    Mistake("a core that cannot say that it runs is killed", "edge_sim/emulation/corebuild.py",
            " || said_that_it_cannot; then", "; then",
            "tests/unit/test_corebuild.py -k one_of_its_files"),
    Mistake("a new agent need not connect", f"{UPDATE}/ownprogram.py",
            "            if self._online():\n", "            if True:\n",
            "tests/integration/test_ota_agent.py -k not_connect"),
    Mistake("a trial that was given up is never forgotten", "edge_sim/agent/update/outbox.py",
            "        installation.settle()\n", "", "tests/integration/test_faults.py -k given_up"),
    Mistake("the link is not brought to the disk before the commit", f"{UPDATE}/installation.py",
            "            raise UpdateError(reason)\n        self.releases.sync()\n",
            "            raise UpdateError(reason)\n",
            "tests/unit/test_updater.py -k killed_agent_did"),
    Mistake("a full disk below its output ends the agent", "edge_sim/agent/events.py",
            "        except OSError as error:\n", "        except FileExistsError as error:\n",
            "tests/integration/test_agent_update.py -k output_cannot"),
)  # fmt: skip


def noticed(mistake: Mistake, copy: Path) -> str:
    """Make a mistake in the copy and run its test; return what came of it: ``noticed`` or what went wrong."""
    path = copy / mistake.file
    text = path.read_text("utf-8")
    if text.count(mistake.line) != 1:
        return "its line is not there"
    path.write_text(text.replace(mistake.line, mistake.wrong), "utf-8")
    try:
        argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mistake.test.split(" ")]
        done = subprocess.run(argv, cwd=copy, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its test did not end within {LIMIT_S:g} s"
    finally:
        path.write_text(text, "utf-8")
    if done.returncode == FAILED:
        return "noticed"
    return "NOT NOTICED" if done.returncode == 0 else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


def main() -> None:
    """Make all mistakes, or those that the command line names."""
    chosen = [mistake for mistake in MISTAKES if all(word in mistake.name for word in sys.argv[1:])]
    count = 0
    with tempfile.TemporaryDirectory(prefix="edge-sim-sabotage-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        for mistake in chosen:
            result = noticed(mistake, copy)
            count += result == "noticed"
            print(f"{mistake.name}: {result} ({mistake.test})", flush=True)
    print(f"{len(chosen)} mistakes, {count} noticed")
    sys.exit(0 if count == len(chosen) else 1)


if __name__ == "__main__":
    main()
