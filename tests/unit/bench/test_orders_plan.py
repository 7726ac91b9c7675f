"""What customers want and when processes are killed follows from the seed, in the shares that were asked for."""

from collections import Counter

from bench.chaos.orders_plan import CANCELLED, DECLINED, GOOD, KILLED, SILENT, kills, wishes


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    assert (wishes(1, 500, 6), kills(1, 500, KILLED)) == (wishes(1, 500, 6), kills(1, 500, KILLED))
    assert wishes(1, 500, 6) != wishes(2, 500, 6)
    assert kills(1, 500, KILLED) != kills(2, 500, KILLED)


def test_of_500_orders_50_are_declined_25_get_no_answer_and_25_are_cancelled() -> None:
    wanted = wishes(7, 500, 6)
    assert Counter(wish.kind for wish in wanted) == {GOOD: 400, DECLINED: 50, SILENT: 25, CANCELLED: 25}
    assert {wish.token for wish in wanted if wish.kind in (GOOD, CANCELLED)} == {"tok_ok"}
    assert all("declined" in wish.token for wish in wanted if wish.kind == DECLINED)
    assert not any("declined" in wish.token or wish.token == "tok_ok" for wish in wanted if wish.kind == SILENT)
    assert all(1 <= len(wish.items) <= 3 and set(wish.items) <= set(range(6)) for wish in wanted)


def test_each_process_is_killed_twice_in_500_orders_and_once_in_few_while_customers_are_left() -> None:
    planned = kills(3, 500, KILLED)
    assert Counter(kill.process for kill in planned) == dict.fromkeys(KILLED, 2)
    assert [kill.answered for kill in planned] == sorted(kill.answered for kill in planned)
    assert planned[0].answered > 0 and planned[-1].answered <= 500 - 30
    assert Counter(kill.process for kill in kills(3, 60, ("orders", "postgres"))) == {"orders": 1, "postgres": 1}
