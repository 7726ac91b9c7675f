"""Chaos: a load goes on while processes are killed, and the outcome is judged by what plain SQL says, not by their own words.

Of the copies (`run`): a mixed load on a captured database while every process is killed, stopped and cut off at random;
sorted dumps of both sides judge. Of the orders (`orders_run`): customers place orders while what these need is killed in
the middle of sagas; money, goods, orders and mails must add up. What is written and broken follows from the seed.
"""
