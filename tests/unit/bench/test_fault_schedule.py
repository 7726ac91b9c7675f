"""The schedule of faults follows from the seed and is as hard as it must be."""

from collections import Counter

from bench.chaos.faults import CUT, KILL, PROMOTE, STOP, schedule

PROCESSES = ("a", "b", "c")


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    assert schedule(1, 600, PROCESSES) == schedule(1, 600, PROCESSES)
    assert schedule(1, 600, PROCESSES) != schedule(2, 600, PROCESSES)


def test_ten_minutes_kill_each_process_three_times_at_least_and_stop_and_cut_some() -> None:
    faults = schedule(7, 600, PROCESSES)
    kills = Counter(fault.process for fault in faults if fault.kind == KILL)
    assert all(kills[process] >= 3 for process in PROCESSES)
    assert {STOP, CUT} <= {fault.kind for fault in faults}
    assert sum(fault.kind == PROMOTE for fault in faults) >= 3
    assert all(0 < fault.at < 600 for fault in faults)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
