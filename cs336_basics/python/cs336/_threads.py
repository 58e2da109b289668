"""How many threads C uses, and long calls that a Ctrl-C ends."""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from typing import Any, Callable, List, Optional, TypeVar

from ._arguments import integer
from ._library import lib

Result = TypeVar("Result")


def threads() -> int:
    """Returns the number of threads that C uses for long work: set_threads(), else OMP_NUM_THREADS or all processors."""
    return int(lib.parallel_threads())


def set_threads(number: int) -> None:
    """Sets the number of threads for all work that starts from now on; 0 is the default again."""
    number = integer("set_threads: number", number)
    if not 0 <= number <= 1024:
        raise ValueError(f"set_threads: {number} threads, expected 0 to 1024")
    lib.parallel_set_threads(number)


_WAIT_SECONDS = 0.1  # after which the main thread looks for signals that came just before it began to wait

_tasks: Any = None  # the queue of the second thread; None: there is no such thread yet


def _serve(tasks: Any) -> None:
    while True:
        tasks.get()()


def _run_in_second_thread(task: Callable[[], None]) -> None:
    """Lets the second thread run a task. It stays for the next ones, and with it the threads that OpenMP has started for
    it: to start them again for each call took 6 ms of the 18 that 10 MB of text need on two cores."""
    global _tasks
    if _tasks is None:
        tasks: Any = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(tasks,), name="cs336", daemon=True).start()
        _tasks = tasks
    _tasks.put(task)


def _after_fork() -> None:
    """A forked child has the forking thread alone. OpenMP would wait for the threads that it started in the parent."""
    global _tasks
    _tasks = None
    lib.parallel_set_threads(1)


os.register_at_fork(after_in_child=_after_fork)


def interruptible(work: Callable[[ctypes.c_int], Result]) -> Result:
    """Runs work(stop) and returns its result. If a signal's handler raises meanwhile, as Ctrl-C does, it sets the flag
    `stop`, waits until `work` ends, and raises that exception.

    Python runs signal handlers in the main thread only, and not while that thread is inside C. So `work` runs in a
    second thread while the main thread waits for it, because a signal does interrupt that wait. A caller in another
    thread gets no signals, and runs `work` itself. `work` frees what it allocates, since nobody else knows when it ends.
    """
    stop = ctypes.c_int(0)
    if threading.current_thread() is not threading.main_thread():
        return work(stop)
    results: List[Result] = []
    failures: List[BaseException] = []
    begun: List[bool] = []
    finished: List[bool] = []
    ended = threading.Lock()  # held until `work` has ended
    ended.acquire()

    def run() -> None:
        if begun:
            return
        begun.append(True)
        try:
            if not stop.value:
                results.append(work(stop))
        except BaseException as error:
            failures.append(error)
        finally:
            finished.append(True)
            ended.release()

    # A handler may raise after any step of this loop, so each step may be repeated. That is why the main thread does not
    # wait for an Event or join the thread: interrupted at the wrong place, these keep a lock that the other thread needs.
    # A signal that comes just before the wait does not interrupt it; the handler runs when the wait has timed out.
    interruption: Optional[BaseException] = None
    handed_over = False
    while not finished:
        try:
            if not handed_over:
                _run_in_second_thread(run)
                handed_over = True
            ended.acquire(timeout=_WAIT_SECONDS)
        except BaseException as error:
            interruption, stop.value = error, 1
            if not handed_over:
                break
    if interruption is not None:
        raise interruption
    if failures:
        raise failures[0]
    return results.pop()  # the second thread may still hold the list
