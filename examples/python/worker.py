"""Waits for a flag, does the work, and says that it is done."""

import os

import globstash

stash = globstash.Stash()
# Gone with this process: so others see whether there is a worker.
stash.set("worker/pid", os.getpid(), pid=os.getpid())
job = stash.wait("worker/job")
print("working on", job, flush=True)
with stash.batch() as batch:
    batch.set("worker/done", str(job))
    batch.delete("worker/job")
