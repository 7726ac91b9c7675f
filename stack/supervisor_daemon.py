"""supervisord with a poller that forgets: ``python -m stack.supervisor_daemon`` takes supervisord's arguments.

supervisor 4.3 leaves the descriptor of a closed connection registered. When a program is spawned before the next poll, the number
is given to the pipe of that program's standard input. The pipe reports an error for as long as its other end is closed, nothing
handles that, and supervisord turns without rest: a whole core, in some starts of a stack. Here a poll asks for what the loop has
registered for this turn, and nothing else.
"""

import select

from supervisor import poller, supervisord


class ForgetfulPoller(poller.PollPoller):  # type: ignore[misc]  # supervisor has no types
    """Registrations last for one poll: supervisord's loop makes them anew before each. An error counts as something to read."""

    def initialize(self) -> None:
        """Make the poll object."""
        super().initialize()
        self.READ |= select.POLLERR

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Descriptors to read from and to write to, after at most ``timeout`` seconds."""
        readables, writables = super().poll(timeout)
        for descriptor in self.readables | self.writables:
            self._poller.unregister(descriptor)
        self.readables.clear()
        self.writables.clear()
        return readables, writables

    def unregister_readable(self, _: int) -> None:
        """Nothing to do: called between polls."""

    def unregister_writable(self, _: int) -> None:
        """Nothing to do: called between polls."""


def main() -> None:
    """Run supervisord."""
    poller.Poller = ForgetfulPoller
    supervisord.main()


if __name__ == "__main__":
    main()
