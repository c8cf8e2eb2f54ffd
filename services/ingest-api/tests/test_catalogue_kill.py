import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

from ingest_api.adapters.catalogue_schema import FILE_NAME


def test_a_kill_between_writes_leaves_rows_and_offsets_in_step(tmp_path: Path) -> None:
    """A writer is killed at a random moment; offset n must mean exactly the tasks 1 to n."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
        from ingest_api.domain.log_batch import LogBatch, Partition, TaskSeen
        from ingest_api.domain.task import Task
        from kartoteka_contracts.tasks import TaskStatus
        from kartoteka_runtime.clock import SystemClock

        async def main():
            catalogue = SqliteCatalogue(Path(sys.argv[1]), SystemClock())
            await catalogue.open()
            await catalogue.wipe("log-1")
            now = datetime.now(UTC)
            for n in range(1, 1_000_000):
                task = Task(
                    task_id=f"task-{n}", cabinet_id=7, status=TaskStatus.QUEUED, updated_at=now
                )
                seen = TaskSeen(task=task, is_compacted=False, logged_at=now)
                await catalogue.apply(
                    LogBatch(positions={Partition("documents.bulk", 0): n}, tasks=(seen,))
                )
                if n == 50:
                    print("writing", flush=True)
        asyncio.run(main())
        """
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    reader = sqlite3.connect(tmp_path / FILE_NAME)
    (offset,) = reader.execute("SELECT next FROM positions").fetchone()
    (rows,) = reader.execute("SELECT count(*) FROM tasks").fetchone()
    (verdict,) = reader.execute("PRAGMA quick_check").fetchone()
    reader.close()
    assert offset >= 50
    assert rows == offset
    assert verdict == "ok"
